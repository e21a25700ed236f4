"""How the program really reaches each backend: connection, credential and trust, put together once.

Explicit sections read files of the operator; `backends: embedded` takes the rest from the endpoints file. Secret
fields are kept out of `repr`; nothing here is printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from .connections import CREDENTIALS, KubernetesConnection, PostgresConnection, VaultConnection
from .endpoints import Endpoints, certificate_file
from .problems import Problem, SettingsError, key_path, set_secret
from .schema import Settings

__all__ = ["Access", "KubernetesAccess", "PostgresAccess", "VaultAccess", "access", "operator_file", "select_context"]

_CHECKOUT: Final = FilePath(__file__).resolve().parents[2]


@dataclass(frozen=True)
class KubernetesAccess:
    """One context of one cluster; `kubeconfig` is the text of a kubeconfig with this context alone, and a secret."""

    kubeconfig: str = field(repr=False)
    context: str
    server: str


@dataclass(frozen=True)
class VaultAccess:
    """The Vault server and the operator's token."""

    connection: VaultConnection
    token: str = field(repr=False)


@dataclass(frozen=True)
class PostgresAccess:
    """The PostgreSQL server and the password of the provisioning role."""

    connection: PostgresConnection
    password: str = field(repr=False)


@dataclass(frozen=True)
class Access:
    """Every backend that this run may reach; None for one it does not need or does not have."""

    kubernetes: KubernetesAccess | None = None
    vault: VaultAccess | None = None
    postgres: PostgresAccess | None = None

    def hosts(self) -> dict[str, str]:
        """Return the host each connection goes to, by configuration section."""
        found = {
            "kubernetes": urlsplit(self.kubernetes.server).hostname if self.kubernetes else None,
            "vault": urlsplit(self.vault.connection.address).hostname if self.vault else None,
            "postgres": self.postgres.connection.host if self.postgres else None,
        }
        return {section: host for section, host in found.items() if host}


def access(
    settings: Settings, needed: frozenset[str], credentials: Mapping[str, str], endpoints: Endpoints | None
) -> Access:
    """Put the needed connections together. Raises SettingsError with everything that is missing."""
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    for section, make in (("kubernetes", _kubernetes), ("vault", _vault), ("postgres", _postgres)):
        if section in needed:
            try:
                found[section] = make(settings, credentials, endpoints)
            except SettingsError as error:
                problems += error.problems
    if problems:
        raise SettingsError(problems)
    return Access(**found)


def operator_file(path: str) -> FilePath:
    """Find a file that a stack file names: the same one wherever a command is called, and for the program."""
    return _CHECKOUT / FilePath(path).expanduser()


def select_context(config: object, context: str, directory: FilePath) -> KubernetesAccess:
    """Reduce a kubeconfig to one context, so that no other cluster's key gets into the state.

    Relative file names are resolved against `directory`. Raises LookupError for a context, cluster or user that is
    not there.
    """
    chosen = _named(config, "contexts", context, "context")
    cluster = dict(_named(config, "clusters", str(chosen.get("cluster")), "cluster"))
    user = dict(_named(config, "users", str(chosen.get("user")), "user"))
    for section, keys in (
        (cluster, ("certificate-authority",)),
        (user, ("client-certificate", "client-key", "tokenFile")),
    ):
        for key in keys:
            if key in section:
                section[key] = str(directory / str(section[key]))
    reduced = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": dict(chosen)}],
        "clusters": [{"name": chosen.get("cluster"), "cluster": cluster}],
        "users": [{"name": chosen.get("user"), "user": user}],
    }
    return KubernetesAccess(yaml.safe_dump(reduced), context, str(cluster.get("server", "")))


def _kubernetes(settings: Settings, _: Mapping[str, str], endpoints: Endpoints | None) -> KubernetesAccess:
    if settings.kubernetes is not None:
        return _from_file(settings.kubernetes)
    if endpoints is None:
        raise SettingsError([_absent("kubernetes")])
    cluster = endpoints.kubernetes
    return KubernetesAccess(cluster.kubeconfig, cluster.context, cluster.server)


def _vault(settings: Settings, credentials: Mapping[str, str], endpoints: Endpoints | None) -> VaultAccess:
    if settings.vault is not None:
        return VaultAccess(settings.vault, _credential("vault", credentials))
    if endpoints is None:
        raise SettingsError([_absent("vault")])
    connection = VaultConnection(address=endpoints.vault.address, ca_cert_file=certificate_file(endpoints))
    return VaultAccess(connection, endpoints.vault.root_token)


def _postgres(settings: Settings, credentials: Mapping[str, str], endpoints: Endpoints | None) -> PostgresAccess:
    if settings.postgres is not None:
        return PostgresAccess(settings.postgres, _credential("postgres", credentials))
    if endpoints is None:
        raise SettingsError([_absent("postgres")])
    server = endpoints.postgres
    connection = PostgresConnection.model_validate(server.model_dump(include={"host", "port", "username", "sslmode"}))
    return PostgresAccess(connection, server.password)


def _from_file(connection: KubernetesConnection) -> KubernetesAccess:
    path = operator_file(connection.kubeconfig)
    where = key_path(("kubernetes", "kubeconfig"))
    fix = "Give the path of a kubeconfig file"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([Problem("", where, f"cannot be read: {error.strerror}", fix, str(path))]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError([Problem("", where, "is not a kubeconfig file", fix, str(path))]) from error
    try:
        found = select_context(config, connection.context, path.parent)
    except LookupError as error:
        fix = f"Contexts in {path}: {', '.join(_contexts(config)) or 'none'}"
        where = key_path(("kubernetes", "context"))
        raise SettingsError([Problem("", where, str(error.args[0]), fix, connection.context)]) from error
    try:
        urlsplit(found.server)
    except ValueError as error:
        rule = f"the server of context {connection.context} in {path} cannot be read: {found.server}"
        raise SettingsError([Problem("", where, rule, "Correct the kubeconfig file")]) from error
    return found


def _credential(section: str, credentials: Mapping[str, str]) -> str:
    ((key, what),) = CREDENTIALS[section].items()
    if value := credentials.get(key):
        return value
    rule = f"is not set; `{section}` needs {what}"
    path = ("credentials", key)
    raise SettingsError([Problem("", key_path(path), rule, f"Run {set_secret('STACK', path)}")])


def _absent(section: str) -> Problem:
    return Problem("", key_path((section,)), "is needed and absent", "Describe the connection")


def _contexts(config: object) -> list[str]:
    entries = config.get("contexts") if isinstance(config, dict) else None
    return [str(entry["name"]) for entry in entries or [] if isinstance(entry, dict) and "name" in entry]


def _named(config: object, kind: str, name: str, what: str) -> dict[str, Any]:
    entries = config.get(kind) if isinstance(config, dict) else None
    for entry in entries or []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(what), dict):
            found: dict[str, Any] = entry[what]
            return found
    message = f"{what} `{name}` is not in the kubeconfig"
    raise LookupError(message)
