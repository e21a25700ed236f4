"""Guards that keep a sandbox away from production (POL-01, 02, 03, 08, 10, 11, 12, SBX-10, SBX-26).

Pure functions, used twice: by `__main__` for what the program can see, and by the command line before the engine
starts for what it alone sees (the backend of the state, the operator's environment). A policy pack can be skipped,
these cannot; credentials without rights on production remain the real boundary (POL-35).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from pydantic import Field, field_validator

from components.model import HostName, Model, about
from components.written_addresses import written_networks

from .problems import Path, Problem, key_path, shown

__all__ = [
    "SCRATCH_VARIABLE",
    "Environment",
    "Fingerprints",
    "backend_url",
    "carries_sandbox",
    "environment_variables",
    "production_values",
    "resolved_hosts",
    "strings",
    "surroundings",
    "unseal_path",
]

Environment = Literal["prod", "sandbox"]

SCRATCH_VARIABLE = "FACTORY_SCRATCH_OF"
"""Names the backend of the state that a scratch one in a temporary folder is a copy of."""

_CREDENTIAL = re.compile(
    r"(TF_VAR_|PULUMI_CONFIG_)?(CLOUDFLARE|CF|OVH|ZOHO)_\w*(TOKEN|KEY|SECRET|PASSWORD|CLIENT|CREDENTIAL|EMAIL)\w*",
    re.IGNORECASE,
)
_SANDBOX = re.compile(r"(?:^|[/\-_.])sandbox(?:$|[/\-_.?])")

_CONNECTIONS = ("kubernetes", "vault", "postgres", "hosts", "cm5_gateway", "proxmox", "traefik_gateway", "longhorn")
_NEVER_LIFTED = (*_CONNECTIONS, "sandbox")
"""Sections where `i_mean_prod` changes nothing:

Vault, state, databases, clusters, DNS and mail (POL-01, 02, 03, 06, 11).
"""


class Fingerprints(Model):
    """What marks production.

    Declared by the stack files of production, read by every sandbox beside them (section 16.4).
    """

    ips: tuple[str, ...] = Field(
        default=(),
        description="Addresses or networks of production machines.",
        json_schema_extra=about("POL-01, SBX-10", unit="IP or CIDR"),
    )
    hosts: tuple[HostName, ...] = Field(
        default=(), description="Host names of production services.", json_schema_extra=about("POL-03, SBX-12")
    )
    zones: tuple[HostName, ...] = Field(
        default=(),
        description="DNS zones of production, with all names below.",
        json_schema_extra=about("POL-06, SBX-11"),
    )
    buckets: tuple[str, ...] = Field(
        default=(), description="Buckets of production state and backups.", json_schema_extra=about("POL-09, SBX-08")
    )
    organizations: tuple[str, ...] = Field(
        default=(),
        description="Owners of production repositories on the forge.",
        json_schema_extra=about("POL-04, SBX-09"),
    )
    paths: tuple[str, ...] = Field(
        default=(),
        description="Files of production on the operator's machine.",
        json_schema_extra=about("POL-12, SBX-13"),
    )
    tunnels: tuple[str, ...] = Field(
        default=(), description="Names of production tunnels, for the policy pack.", json_schema_extra=about("SBX-23")
    )

    @field_validator("ips")
    @classmethod
    def _networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                ipaddress.ip_network(value)
            except ValueError as error:
                message = f"{value!r} is not an IP address or network: write 203.0.113.7 or 203.0.113.0/24"
                raise ValueError(message) from error
        return values

    def __bool__(self) -> bool:
        """Whether anything is marked; an empty set protects nothing."""
        return any(getattr(self, field) for field in type(self).model_fields)

    def merged(self, other: Fingerprints) -> Fingerprints:
        """Return the union of both."""
        return Fingerprints(
            **{
                field: (*dict.fromkeys(getattr(self, field) + getattr(other, field)),)
                for field in type(self).model_fields
            }
        )

    def found_in(self, text: str) -> str | None:
        """Which mark of production a text carries, as `kind value`; None when it carries none."""
        return next(self._marks(text), None)

    def address_found_in(self, text: str) -> str | None:
        """Which production address a text contains."""
        production = [ipaddress.ip_network(value) for value in self.ips]
        for written, networks in written_networks(text):
            # The default route holds every address and points at none of them.
            if any(each.prefixlen and each.overlaps(mark) for each in networks for mark in production):
                single = len(networks) == 1 and networks[0].num_addresses == 1
                return str(networks[0].network_address) if single else written
        return None

    def _marks(self, text: str) -> Iterator[str]:
        if address := self.address_found_in(text):
            yield f"address {address}"
        lower = text.lower()
        for kind, values, pattern in (
            ("host", self.hosts, r"(?<![\w-]){}\.?(?![\w-])"),
            ("zone", self.zones, r"(?<![\w-]){}\.?(?![\w-])"),
            # `gs://bucket/sandbox/...` is the one part of a production bucket a sandbox may have (SBX-08, SBX-15).
            ("bucket", self.buckets, r"(?<![\w.-]){}(?![\w.-])(?!/sandbox(/|$))"),
            ("organization", self.organizations, r"(?<![\w.-]){}(?![\w.-])"),
            # A home directory is written in several ways; what follows it is compared.
            ("path", self.paths, r"{}(?![\w.-])"),
        ):
            for value in values:
                if re.search(pattern.format(re.escape(value.lower().removeprefix("~"))), lower):
                    yield f"{kind} {value}"


def production_values(
    values: Mapping[str, object], fingerprints: Fingerprints, *, i_mean_prod: bool, exempt: Callable[[Path], bool]
) -> Iterator[tuple[Path, str, str]]:
    """Find every value of a sandbox that carries a mark of production, as (key, value, mark) (SBX-10, TEST-12).

    `i_mean_prod` lifts plain addresses outside the connections alone (POL-01). `exempt` names keys of images, which a
    sandbox may pull from the production registry (SBX-18).
    """
    for path, text in strings(values, ()):
        if exempt(path):
            continue
        mark = fingerprints.found_in(text)
        lifted = i_mean_prod and path[0] not in _NEVER_LIFTED and mark is not None and mark.startswith("address ")
        if mark and not lifted:
            yield path, text, mark


def resolved_hosts(
    hosts: Mapping[str, str], fingerprints: Fingerprints, lookup: Callable[[str], Iterable[str]]
) -> list[Problem]:
    """Hosts of a sandbox whose *addresses* are production's, whatever their names (SBX-26: names are equal by design).

    `hosts` maps a configuration section to the host it connects to. A host without addresses is no danger.
    """
    problems = []
    for section, host in hosts.items():
        for address in lookup(host):
            if fingerprints.address_found_in(address):
                rule = f"resolves to the production address {address} (SBX-26)"
                fix = "Give the sandbox a resolver or addresses of its own"
                problems.append(Problem("", key_path((section,)), rule, fix, value=shown((), host)))
                break
    return problems


def surroundings(
    environment: Environment,
    variables: Mapping[str, str],
    *,
    state_url: str | None,
    embedded: bool,
    production: Fingerprints,
) -> list[Problem]:
    """Everything about a run's environment variables that does not fit its stack (POL-08, POL-10, SBX-08, SBX-11).

    `state_url` is what a sandbox declares. `./factory` names the state's backend in PULUMI_BACKEND_URL however it was
    chosen; a plain `pulumi` after a `pulumi login` does not. Of a scratch copy, the backend of its original is judged.
    """
    problems = environment_variables(environment, variables)
    if url := variables.get(SCRATCH_VARIABLE) or variables.get("PULUMI_BACKEND_URL"):
        home = variables.get("HOME", "")
        problems += backend_url(
            environment, url, declared=state_url, embedded=embedded, production=production, home=home
        )
    return problems


def backend_url(
    environment: Environment,
    url: str,
    *,
    declared: str | None = None,
    embedded: bool = False,
    production: Fingerprints | None = None,
    home: str = "",
) -> list[Problem]:
    """POL-10, SBX-08: a sandbox keeps its state in its own backend, and production never in a sandbox's.

    `declared` is `sandbox.state_url`; on embedded backends any folder of this machine will do without one.
    `production` are the fingerprints, `home` the operator's home directory, which is left out of the search because
    it may hold any word.
    """
    value = shown((), url)
    subject = "the state backend"
    if environment == "prod":
        if not carries_sandbox(url, home):
            return []
        fix = "Run `pulumi login` with production's, or name that in PULUMI_BACKEND_URL"
        return [Problem("", subject, "production's state in a sandbox backend (POL-10)", fix, value)]
    if production and (mark := production.found_in(url)):
        fix = "Use a bucket of the sandbox's own"
        return [Problem("", subject, f"a sandbox's state in production: {mark} (SBX-08)", fix, value)]
    if declared:
        own = url.rstrip("/") == declared.rstrip("/")
        fix = f"Unset PULUMI_BACKEND_URL, use what `{key_path(('sandbox', 'state_url'))}` names: {declared}"
    else:
        own = embedded and url.startswith("file://")
        fix = f"Name it in `{key_path(('sandbox', 'state_url'))}` and use it"
    return [] if own else [Problem("", subject, "is not the sandbox's own backend (POL-10)", fix, value)]


def carries_sandbox(url: str, home: str = "") -> bool:
    """Whether a URL says that it is a sandbox's.

    Such are `gs://site-sandbox`, `s3://bucket/sandbox/x`, `file:///srv/sandbox`.
    """
    return bool(_SANDBOX.search(url.replace(home, "~", 1) if home else url))


def environment_variables(environment: Environment, variables: Mapping[str, str]) -> list[Problem]:
    """POL-08, SBX-11: no DNS or mail credential in the environment of a sandbox run. Values are never read or shown."""
    if environment == "prod":
        return []
    rule = "is named like a production DNS or mail credential, a sandbox may not see one (POL-08)"
    return [
        Problem("", name, rule, f"Run `unset {name}` first")
        for name in sorted(variables)
        if variables[name] and _CREDENTIAL.fullmatch(name)
    ]


def unseal_path(environment: Environment, path: str) -> str | None:
    """POL-12, SBX-13: the rule a path of unseal keys breaks, None when it may be used."""
    if environment == "sandbox" and "/sandbox/" not in path:
        return "a sandbox keeps its unseal keys below a directory `sandbox` (POL-12)"
    if environment == "prod" and "/sandbox/" in path:
        return "production never keeps its unseal keys below a directory `sandbox` (POL-12)"
    return None


def strings(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Walk over every text inside a value, with its place below `path`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from strings(inner, (*path, index))
