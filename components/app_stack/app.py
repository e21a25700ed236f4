"""One declared application, resolved against its platform: every name and host, and the rules that need both."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from ..naming import AppNames, NamingError
from .args import AppStackArgs
from .args_workload import VolumeArgs
from .platform import BackupArgs, ExposureClassArgs, PlatformArgs

__all__ = ["App", "AppError"]

_URL_WITH_PASSWORD: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


class AppError(NamingError):
    """A declaration which does not fit its platform. The message names the key, the value, the rule and what to do."""


@dataclass(frozen=True, slots=True)
class App:
    """An application as every planner sees it."""

    args: AppStackArgs
    platform: PlatformArgs
    names: AppNames
    hosts: Mapping[str, tuple[str, ...]]
    """Hosts per exposure class, derived or overridden (NAME-16, NAME-17, NAME-30)."""

    @classmethod
    def of(cls, name: str, args: AppStackArgs, platform: PlatformArgs) -> Self:
        """Derive the names of ``name`` and check the declaration against the platform.

        Raises :class:`~components.naming.NamingError` for a bad name and :class:`AppError` for a declaration that the
        platform cannot serve.
        """
        names = platform.naming.names(
            name,
            organization=args.organization or platform.organization,
            forge=platform.forge_url,
            registry=platform.registry,
            database=args.database.name,
            image=args.image.repository,
            chart=args.chart,
            platform=args.platform_application,
        )
        _check_exposure(name, args, platform)
        _check_environment(name, args, platform)
        if args.decommission and args.uses_vault and platform.backup is None:
            what = "the database" if args.has_database else "the configuration"
            message = f"application {name!r}: decommission backs {what} up first (APP-39): set platform.backup"
            raise AppError(message)
        hosts = {
            kind: args.hosts.get(kind) or (platform.naming.host_of(name, platform.exposure[kind].domain),)
            for kind in args.exposure
        }
        _check_hosts(name, hosts, platform)
        return cls(args=args, platform=platform, names=names, hosts=hosts)

    @property
    def exposure(self) -> Mapping[str, ExposureClassArgs]:
        """The exposure classes of the application, by name."""
        return {kind: self.platform.exposure[kind] for kind in self.args.exposure}

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """Every host of the application."""
        return tuple(host for of_class in self.hosts.values() for host in of_class)

    def claim_of(self, volume: VolumeArgs) -> str:
        """Return the name of a volume's claim."""
        return volume.claim or f"{self.names.app}-{volume.name}"

    @property
    def writes_workload(self) -> bool:
        """Whether this program writes the workload's objects; otherwise ArgoCD does."""
        return self.args.writes_workload

    @property
    def owns_namespace(self) -> bool:
        """Whether the namespace belongs to the application alone."""
        return self.args.has_workload and not self.args.platform_application

    @property
    def protect(self) -> bool:
        """Whether the application's data refuses deletion (APP-39)."""
        return self.platform.protect_data and not self.args.decommission

    @property
    def backup(self) -> BackupArgs:
        """Where backups go. Raises :class:`AppError` for a platform which does not say so."""
        if self.platform.backup is None:
            message = f"application {self.names.app!r}: a backup needs platform.backup (APP-39)"
            raise AppError(message)
        return self.platform.backup

    @property
    def writes_config(self) -> bool:
        """Whether ``<app>/config`` exists: for a full application always, else when it has a key (APP-06)."""
        return bool(self.args.vault.config_keys) or (self.args.has_database and self.args.has_workload)


def _check_exposure(name: str, args: AppStackArgs, platform: PlatformArgs) -> None:
    if unknown := [kind for kind in args.exposure if kind not in platform.exposure]:
        known = ", ".join(sorted(platform.exposure)) or "none"
        message = (
            f"application {name!r}: exposure {', '.join(unknown)} is no class of the platform: use one of {known}, "
            "or describe it in platform.exposure"
        )
        raise AppError(message)


def _check_hosts(name: str, hosts: Mapping[str, tuple[str, ...]], platform: PlatformArgs) -> None:
    """Keep each host behind the middlewares of its domain, once (CHART-26): a class guards what its domain holds."""
    domains = [of_class.domain for of_class in platform.exposure.values()]
    seen: dict[str, str] = {}
    for kind, of_class in hosts.items():
        for host in of_class:
            holding = [domain for domain in domains if host == domain or host.endswith(f".{domain}")]
            if max(holding, key=len, default="") != platform.exposure[kind].domain:
                message = (
                    f"application {name!r}: hosts.{kind} has {host}, which is not in {platform.exposure[kind].domain} "
                    "or is in another class's narrower domain: that domain's middlewares would not guard it "
                    "(CHART-26); name a host of this class's domain, or expose it by the class of its own"
                )
                raise AppError(message)
            if seen.setdefault(host, kind) != kind:
                message = (
                    f"application {name!r}: exposure {seen[host]} and {kind} both serve {host}, with guards of their "
                    "own (CHART-26): remove one, or give it another host"
                )
                raise AppError(message)


def _check_environment(name: str, args: AppStackArgs, platform: PlatformArgs) -> None:
    """Keep credentials and a way around the pooler out of the ConfigMap (CHART-05, CHART-40)."""
    pooler, server = platform.postgres.pooler, platform.postgres.host
    # Not as the end or the middle of another name; with more labels behind it may be the same host, spelt out.
    names_server = re.compile(rf"(?<![\w.-]){re.escape(server)}(?![\w-])")
    for key, value in args.workload.environment.items():
        if _URL_WITH_PASSWORD.search(value) or pooler.auth_role in value:
            rule = "holds a credential (CHART-40): put it under vault.config_keys"
        elif server != pooler.host and names_server.search(value):
            rule = f"names the database server (CHART-05): use the pooler {pooler.host}"
        else:
            continue
        message = f"application {name!r}: workload.environment.{key} {rule}"
        raise AppError(message)
