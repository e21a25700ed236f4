"""The facts every rule judges by, read from the configuration of a policy (`--policy-pack-config`).

A policy pack sees no stack configuration, so all it knows about the site arrives here. What is missing or
misspelt is a problem, and with a problem nothing is allowed (POL-30).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_network

from components.written_addresses import Network


class Environment(StrEnum):
    """The kind of a stack; rules key on it and never on the stack's name."""

    PROD = "prod"
    SANDBOX = "sandbox"


@dataclass(frozen=True)
class Fingerprints:
    """What marks production; the `factory:fingerprints` of the committed production stack files."""

    ips: tuple[Network, ...] = ()
    """Addresses or networks of production machines."""
    hosts: frozenset[str] = frozenset()
    """Host names, lower case; `*.suffix` stands for every name below the suffix."""
    zones: frozenset[str] = frozenset()
    buckets: frozenset[str] = frozenset()
    organizations: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    tunnels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facts:
    """What the pack was told about the stack it judges; usable only while `problems` is empty."""

    environment: Environment | None = None
    fingerprints: Fingerprints = field(default_factory=Fingerprints)
    i_mean_prod: bool = False
    """The operator's explicit word that a sandbox stack may name production addresses (SBX-10, POL-01)."""
    kube_contexts: frozenset[str] = frozenset()
    """kubeconfig contexts this environment may use (SBX-16, POL-11)."""
    kube_servers: frozenset[str] = frozenset()
    """API server URLs it may use; empty means that any which is not production's will do."""
    resolved: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    """Host name to the addresses the caller resolved it to: the pack itself opens no connection (CPL-30)."""
    sandbox_networks: tuple[Network, ...] = ()
    """Networks where only sandbox machines live, where a production name may be used again (SBX-02, SBX-26)."""
    problems: tuple[str, ...] = ()
    """Why nothing can be judged, one sentence each."""

    @property
    def in_sandbox(self) -> bool:
        """True in a sandbox stack."""
        return self.environment is Environment.SANDBOX


def read_facts(config: Mapping[str, object]) -> Facts:
    """Read the properties of one policy; every problem is collected, none is raised."""
    reader = _Reader(config, "")
    marks = reader.section("fingerprints")
    hosts = reader.section("resolved")
    facts = Facts(
        environment=reader.environment(),
        fingerprints=Fingerprints(
            ips=marks.networks("ips"),
            hosts=frozenset(host_name(host) for host in marks.words("hosts")),
            zones=frozenset(marks.words("zones")),
            buckets=frozenset(marks.words("buckets")),
            organizations=frozenset(marks.words("organizations")),
            paths=frozenset(marks.words("paths")),
            tunnels=frozenset(marks.words("tunnels")),
        ),
        i_mean_prod=reader.flag("i_mean_prod"),
        kube_contexts=frozenset(reader.words("kube_contexts")),
        kube_servers=frozenset(server.rstrip("/") for server in reader.words("kube_servers")),
        resolved={host_name(host): hosts.networks(host) for host in hosts.values},
        sandbox_networks=reader.networks("sandbox_networks"),
    )
    problems = [*reader.problems, *reader.unread(), *marks.problems, *marks.unread(), *hosts.problems]
    problems += [
        f"fingerprints.{name} is empty, so nothing is known to be production"
        for name in ("ips", "hosts")
        if not getattr(facts.fingerprints, name)
    ]
    return replace(facts, problems=tuple(problems))


def host_name(text: str) -> str:
    """Return the form host names are compared in: lower case, without the final dot."""
    return text.lower().rstrip(".")


class _Reader:
    """Typed access to one mapping; notes what is wrong and which keys were asked for."""

    def __init__(self, values: Mapping[str, object], prefix: str) -> None:
        self.values = values
        self.problems: list[str] = []
        self._prefix = prefix
        self._asked: set[str] = set()

    def environment(self) -> Environment | None:
        value = self._get("environment")
        if value in (*Environment,):
            return Environment(str(value))
        said = "is missing" if value is None else f"is {value!r}"
        self.problems.append(f"environment {said}, it must be prod or sandbox")
        return None

    def section(self, key: str) -> "_Reader":
        value = self._get(key)
        if isinstance(value, Mapping):
            return _Reader({str(name): inner for name, inner in value.items()}, f"{self._prefix}{key}.")
        if value is not None:
            self._wrong(key, "a mapping")
        return _Reader({}, f"{self._prefix}{key}.")

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if isinstance(value, bool | None):
            return bool(value)
        self._wrong(key, "true or false")
        return False

    def words(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        if value is None:
            return ()
        if isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(w, str) and w for w in value):
            return tuple(str(word) for word in value)
        self._wrong(key, "a list of non-empty strings")
        return ()

    def networks(self, key: str) -> tuple[Network, ...]:
        networks: list[Network] = []
        for word in self.words(key):
            try:
                networks.append(ip_network(word, strict=False))
            except ValueError:
                self._wrong(key, f"a list of IP addresses or networks, and {word!r} is none")
        return tuple(networks)

    def unread(self) -> list[str]:
        return [f"{self._prefix}{key} is not a known key" for key in sorted(self.values.keys() - self._asked)]

    def _get(self, key: str) -> object:
        self._asked.add(key)
        return self.values.get(key)

    def _wrong(self, key: str, expected: str) -> None:
        self.problems.append(f"{self._prefix}{key} must be {expected}")
