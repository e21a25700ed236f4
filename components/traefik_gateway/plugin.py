"""What the gateway's plugin makes of the notes of all guests, by its version: a model of its behaviour, not its code.

The facts are those of section 18 of the requirements (TPX-257 to TPX-267) and of the plugin's published behaviour.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

__all__ = [
    "PINNED",
    "REQUIRED",
    "Guest",
    "PredictedRouter",
    "PredictedService",
    "Reading",
    "Version",
    "parse_version",
    "predict_guest",
    "public_urls",
    "read_notes",
]

Version = tuple[int, ...]

REQUIRED: Final[Version] = (0, 7, 5)
"""The first version that reads ``key=value`` whatever the value holds (TPX-262)."""
PINNED: Final[Version] = (0, 8, 1)
"""The version that is described where none is named."""

_QUOTED_ONLY: Final[Version] = (0, 5, 0)
_SPLITS_INSIDE: Final[Version] = (0, 8, 0)
_URL_SINCE: Final[Version] = (0, 7, 0)
_IP_SINCE: Final[Version] = (0, 7, 6)
_LOWERS_AFTER: Final[Version] = (0, 8, 1)

_INSIDE: Final = re.compile(r"(?<=\s)(?=traefik\.)")
_DOMAIN: Final = re.compile(r"tls\.domains\[(\d+)\]\.(main|sans)")
_NUMBER: Final = re.compile(r"\s*([+-]?[0-9]{1,18})(?![0-9])")
_HOST: Final = re.compile(r"(?<![\w!])Host\(\s*([`\"])([^`\"]+)\1\s*\)")
_PATH: Final = re.compile(r"(?<![\w!])Path(?:Prefix)?\(\s*([`\"])([^`\"]+)\1\s*\)")


@dataclass(frozen=True, slots=True)
class Guest:
    """One VM or container of the cluster, as the plugin sees it."""

    name: str
    vmid: int
    node: str
    notes: str
    addresses: tuple[str, ...] | None = ()
    """Its IPv4 addresses as they are reported: none if the guest agent does not answer, None if nobody asked."""
    kind: str = "qemu"
    """``qemu`` or ``lxc``."""
    running: bool = True

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return f"{self.name} ({self.vmid})"


@dataclass(frozen=True, slots=True)
class Reading:
    """One label as the plugin reads it."""

    line: int
    """The line of the notes, from 1."""
    key: str
    value: str
    text: str
    """The line."""
    inside: bool
    """Whether it begins within a line: a comment, a sentence."""


@dataclass(frozen=True, slots=True)
class PredictedRouter:
    """A router as it will be on the gateway."""

    name: str
    guest: str
    rule: str
    services: tuple[str, ...]
    """The service it leads to; several if the plugin chooses one by chance."""
    priority: int
    entrypoints: tuple[str, ...]
    tls: bool
    cert_resolver: str
    middlewares: tuple[str, ...]
    urls: tuple[str, ...]
    """Where it answers, as far as the rule tells."""

    def as_data(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PredictedService:
    """A service as it will be on the gateway; it has one server."""

    name: str
    guest: str
    url: str

    def as_data(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return asdict(self)


def parse_version(text: str) -> Version:
    """Read a version such as ``v0.8.1``. Raises ValueError."""
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    if found is None:
        message = f"{text!r} is no version of the plugin: write it like v0.8.1"
        raise ValueError(message)
    return tuple(int(part) for part in found.groups())


def read_notes(text: str, version: Version = PINNED) -> list[Reading]:
    """Read the labels of a guest's notes, in order; of two with one key the later one wins."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        parts = _INSIDE.split(line) if version >= _SPLITS_INSIDE else [line]
        for place, part in enumerate(parts):
            pair = _pair(part, version)
            if pair is not None:
                key = pair[0].lower() if version > _LOWERS_AFTER else pair[0]
                inside = place > 0 and bool("".join(parts[:place]).strip())
                found.append(Reading(number, key, pair[1], line, inside))
    return found


def _pair(part: str, version: Version) -> tuple[str, str] | None:
    """Split a label as this version does; None if it reads none."""
    if version >= REQUIRED:
        key, separator, value = part.partition("=")
        key, value = key.strip('" '), value.strip('" ')
        # The plugin trims blanks and quotes, and tabs only from around the line.
        key = key.lstrip("\t") if version >= _SPLITS_INSIDE else key
        return (key, value) if separator and key.startswith("traefik.") else None
    if version <= _QUOTED_ONLY or ":" in part:
        pieces = part.split(":")
        if len(pieces) == 1:
            return None
        key, value = (piece.replace('"', "").strip() for piece in pieces[:2])
    else:
        key, separator, value = part.partition("=")
        key, value = key.strip('" \t'), value.strip('" \t')
        if not separator:
            return None
    return (key, value) if key.startswith("traefik") else None


def predict_guest(guest: Guest, version: Version = PINNED) -> tuple[list[PredictedRouter], list[PredictedService]]:
    """Predict what one guest adds to the gateway: nothing unless it runs and says ``traefik.enable=true``."""
    labels = {reading.key: reading.value for reading in read_notes(guest.notes, version)}
    if not guest.running or labels.get("traefik.enable") != "true":
        return [], []
    own = [f"{guest.name}-{guest.vmid}"]
    routers = _names(labels, "traefik.http.routers.") or own
    services = _names(labels, "traefik.http.services.") or own
    return (
        [_router(name, labels, services, guest, version) for name in routers],
        [PredictedService(name, guest.label, _url(name, labels, guest, version)) for name in services],
    )


def _names(labels: Mapping[str, str], prefix: str) -> list[str]:
    """List names in the order of the alphabet; the plugin's own order is by chance."""
    return sorted({key.split(".")[3] for key in labels if key.startswith(prefix)})


def _router(
    name: str, labels: Mapping[str, str], services: list[str], guest: Guest, version: Version
) -> PredictedRouter:
    prefix = f"traefik.http.routers.{name}"
    rule = labels.get(f"{prefix}.rule", f"Host(`{guest.name}`)")
    service = labels.get(f"{prefix}.service")
    number = _NUMBER.match(labels.get(f"{prefix}.priority", ""))
    points = labels.get(f"{prefix}.entrypoints")
    single = labels.get(f"{prefix}.entrypoint")
    middlewares = labels.get(f"{prefix}.middlewares")
    options = ("certresolver", "domains", "options")
    tls = labels.get(f"{prefix}.tls") == "true" or any(f"{prefix}.tls.{option}" in labels for option in options)
    if version > _LOWERS_AFTER:
        tls = tls or any(_DOMAIN.fullmatch(key.removeprefix(f"{prefix}.")) for key in labels)
    return PredictedRouter(
        name=name,
        guest=guest.label,
        rule=rule,
        services=(service,) if service is not None else tuple(services),
        priority=int(number[1]) if number else 1,
        # The plugin splits without trimming: a blank stays part of the name.
        entrypoints=tuple(points.split(",")) if points is not None else ((single,) if single is not None else ()),
        tls=tls,
        cert_resolver=labels.get(f"{prefix}.tls.certresolver", ""),
        middlewares=tuple(middlewares.split(",")) if middlewares is not None else (),
        urls=public_urls(rule, tls=tls),
    )


def _url(name: str, labels: Mapping[str, str], guest: Guest, version: Version) -> str:
    server = f"traefik.http.services.{name}.loadbalancer.server"
    if version >= _URL_SINCE and f"{server}.url" in labels:
        return labels[f"{server}.url"]
    https = labels.get(f"{server}.scheme") == "https"
    scheme, port = ("https", "443") if https else ("http", "80")
    port = labels.get(f"{server}.port", port)
    if version >= _IP_SINCE and f"{server}.ip" in labels:
        host = labels[f"{server}.ip"]
    else:
        usable = [address for address in guest.addresses or () if address and address != "127.0.0.1"]
        host = usable[0] if usable else f"{guest.name}.{guest.node}"
    return f"{scheme}://{host}:{port}"


def public_urls(rule: str, *, tls: bool) -> tuple[str, ...]:
    """Read the addresses off a rule made of hosts and paths; a rule may hold more than this can show."""
    scheme = "https" if tls else "http"
    urls: list[str] = []
    for part in _alternatives(rule):
        hosts = [match[2] for match in _HOST.finditer(part)]
        paths = [match[2] for match in _PATH.finditer(part)] or ["/"]
        urls += [f"{scheme}://{host}{path}" for host in hosts for path in paths]
    return tuple(dict.fromkeys(urls))


def _alternatives(rule: str) -> Iterable[str]:
    """Split a rule at the ``||`` that stand outside brackets, if each part names its host."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(rule):
        depth += (char == "(") - (char == ")")
        if depth == 0 and rule.startswith("||", place):
            parts.append(rule[start:place])
            start = place + 2
    parts.append(rule[start:])
    return parts if all(_HOST.search(part) for part in parts) else [rule]
