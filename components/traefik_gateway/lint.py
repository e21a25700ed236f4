"""Every trap of the notes of all guests together: what the gateway will do, and what its authors may not expect."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .findings import Finding, error, notice, warning
from .notes import LIMIT, NotesError, find_block, loose_lines
from .plugin import (
    PINNED,
    REQUIRED,
    Guest,
    PredictedRouter,
    PredictedService,
    Reading,
    Version,
    predict_guest,
    read_notes,
)
from .routers import unpublishable

__all__ = ["Prediction", "predict"]

_READ_ROUTER = ("rule", "service", "entrypoints", "entrypoint", "middlewares", "priority", "tls")
_HTTP_PARTS = 4


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the gateway will have, and what is to be said about it."""

    routers: tuple[PredictedRouter, ...]
    """In the order of their names."""
    services: tuple[PredictedService, ...]
    findings: tuple[Finding, ...]

    def as_data(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {
            "routers": [router.as_data() for router in self.routers],
            "services": [service.as_data() for service in self.services],
            "warnings": [finding.as_data() for finding in self.findings],
        }


def predict(guests: Iterable[Guest], version: Version = PINNED, block_id: str = "") -> Prediction:
    """Predict routers and services of all guests, and find the traps (TPX-262 to TPX-267).

    With ``block_id``, label lines outside that block are told of as well.
    """
    routers: list[PredictedRouter] = []
    services: list[PredictedService] = []
    findings: list[Finding] = []
    if version < REQUIRED:
        shown = ".".join(map(str, version))
        said = f"plugin {shown} does not read key=value notes whole: pin 0.7.5 or newer"
        findings.append(error("TPX-262", "", "", said))
    for guest in sorted(guests, key=lambda one: (one.vmid, one.node)):
        readings = read_notes(guest.notes, version)
        own_routers, own_services = predict_guest(guest, version)
        routers += own_routers
        services += own_services
        findings += _text(guest, readings, block_id)
        findings += _labels(guest, readings, version)
        if own_routers:
            findings += _routers(guest, own_routers, own_services, readings)
            findings += _servers(guest, own_services, readings)
    findings += _collisions(routers, services)
    return Prediction(
        tuple(sorted(routers, key=lambda router: (router.name, router.guest))),
        tuple(sorted(services, key=lambda service: (service.name, service.guest))),
        tuple(findings),
    )


def _text(guest: Guest, readings: list[Reading], block_id: str) -> Iterator[Finding]:
    """Look at the notes as a text: markers, length, line ends, labels outside the block."""
    if len(guest.notes) > LIMIT:
        said = f"the notes have {len(guest.notes)} characters, and Proxmox VE stores {LIMIT}"
        yield error("TPX-121", guest.label, "", said)
    try:
        block = find_block(guest.notes, block_id) if block_id else None
        loose = loose_lines(guest.notes, block_id) if block_id else []
    except NotesError as problem:
        yield error("TPX-134", guest.label, "", str(problem).removesuffix(" (TPX-134)"))
        return
    for line in loose:
        said = f"line {line.number} stands outside the block {block_id}, and is mixed with it; the later one wins"
        yield warning("TPX-133", guest.label, line.key, said)
    inside = range(block.start, block.end) if block else range(0)
    for reading in readings:
        if reading.inside and _offset(guest.notes, reading.line) not in inside:
            said = f"line {reading.line}: a label begins within the line, in a comment or a sentence, and becomes live"
            yield warning("TPX-263", guest.label, reading.key, said)
        if reading.text.endswith("\r"):
            said = f"line {reading.line} ends in CR LF, and the plugin takes the CR into the value: save it with LF"
            yield warning("TPX-127", guest.label, reading.key, said)


def _offset(text: str, line: int) -> int:
    return sum(len(part) + 1 for part in text.split("\n")[: line - 1])


def _labels(guest: Guest, readings: list[Reading], version: Version) -> Iterator[Finding]:
    """Look at each label for itself."""
    labels: dict[str, str] = {}
    for reading in readings:
        if labels.get(reading.key, reading.value) != reading.value:
            said = f"line {reading.line} has another value than before: the later one wins"
            yield warning("TPX-133", guest.label, reading.key, said)
        labels[reading.key] = reading.value
        value = reading.text.partition("=")[2].strip().removesuffix("\r")
        if version >= REQUIRED and not reading.inside and value != reading.value:
            yield warning(
                "TPX-128", guest.label, reading.key, f"line {reading.line}: the plugin cuts quotes off the value"
            )
        bad = unpublishable(reading.value)
        if bad and bad[0] == "TPX-170":
            yield warning(
                "TPX-194", guest.label, reading.key, "looks like a credential: everybody who sees the guest reads it"
            )
        if unread := _unread(reading.key):
            yield warning("TPX-243", guest.label, reading.key, unread)
    enable = labels.get("traefik.enable")
    if enable != "true" and labels:
        said = "traefik.enable is not 'true', written so: no label of this guest is used"
        yield notice("TPX-67", guest.label, "" if enable is None else f"traefik.enable={enable}", said)
    elif labels and not guest.running:
        yield notice("TPX-31", guest.label, "", "does not run: its labels are not used now")


def _unread(key: str) -> str:
    """Tell why the plugin does not use a label; empty if it does."""
    parts = key.split(".")
    if key == "traefik.enable":
        return ""
    if len(parts) <= _HTTP_PARTS or parts[1] != "http":
        return "is not read by the plugin, which knows HTTP routers and services only: use the file output"
    if parts[2] == "middlewares":
        return "is not read by the plugin: define the middleware in a file of the gateway, and refer to it as NAME@file"
    if parts[2] == "routers" and parts[4] not in _READ_ROUTER:
        return "is no option of a router that the plugin reads"
    return "" if parts[2] in {"routers", "services"} else "is not read by the plugin: use the file output"


def _routers(
    guest: Guest, routers: list[PredictedRouter], services: list[PredictedService], readings: list[Reading]
) -> Iterator[Finding]:
    keys = {reading.key for reading in readings}
    middlewares = {key.split(".")[3] for key in keys if key.startswith("traefik.http.middlewares.")}
    names = {service.name for service in services}
    for router in routers:
        place = f"traefik.http.routers.{router.name}"
        if f"{place}.rule" not in keys:
            yield warning("TPX-265", guest.label, place, f"has no rule: it becomes {router.rule}")
        if len(router.services) > 1:
            said = f"names no service: the plugin takes one of {', '.join(router.services)} by chance"
            yield warning("TPX-265", guest.label, f"{place}.service", said)
        elif router.services[0] not in names and "@" not in router.services[0]:
            said = f"leads to {router.services[0]}, which this guest does not define"
            yield warning("TPX-265", guest.label, f"{place}.service", said)
        if f"{place}.priority" not in keys and len({other.services for other in routers}) > 1:
            said = (
                "names no priority, so it gets 1 like the others: which of two overlapping rules wins is left to chance"
            )
            yield notice("TPX-158", guest.label, place, said)
        for name in (*router.entrypoints, *router.middlewares):
            if name != name.strip():
                said = f"the plugin does not trim: {name!r} is not {name.strip()!r}; write the list without blanks"
                yield warning("TPX-265", guest.label, place, said)
        if not router.entrypoints:
            said = "names no entry point: it listens on all default ones of the gateway, also on plain HTTP"
            yield warning("TPX-148", guest.label, place, said)
        for name in router.middlewares:
            if "@" not in name or name.partition("@")[0].strip() in middlewares:
                said = (
                    f"refers to the middleware {name.strip()}, which notes cannot define: Traefik disables the router"
                )
                yield warning("TPX-243", guest.label, f"{place}.middlewares", said)


def _servers(guest: Guest, services: list[PredictedService], readings: list[Reading]) -> Iterator[Finding]:
    keys = {reading.key for reading in readings}
    for service in services:
        server = f"traefik.http.services.{service.name}.loadbalancer.server"
        if not {f"{server}.port", f"{server}.url"} & keys:
            yield warning("TPX-266", guest.label, server, f"names no port: it becomes {service.url}")
        if guest.addresses is None:
            continue
        host = service.url.partition("://")[2].rpartition(":")[0]
        if host == f"{guest.name}.{guest.node}":
            said = (
                f"the guest reports no address, so the gateway uses {service.url}, which its DNS must know: install "
                "the guest agent and give the token its privilege, or add .server.ip"
            )
            yield warning("TPX-266", guest.label, server, said)
        elif len([address for address in guest.addresses if address != "127.0.0.1"]) > 1 and host in guest.addresses:
            said = (
                f"the guest has several addresses, and the gateway uses the first, {host}; add .server.ip for another"
            )
            yield notice("TPX-172", guest.label, server, said)


def _collisions(routers: list[PredictedRouter], services: list[PredictedService]) -> Iterator[Finding]:
    """Tell of names that two guests use: they are global on the gateway."""
    for kind, rule, named in (("routers", "TPX-267", routers), ("services", "TPX-228", services)):
        owners = [(one.name, one.guest) for one in named]
        counts = Counter(name for name, _ in owners)
        for name, guest in owners:
            if counts[name] > 1:
                others = ", ".join(other for same, other in owners if same == name and other != guest)
                said = f"{others} has the same name: one replaces the other, and traffic goes to the wrong guest"
                yield error(rule, guest, f"traefik.http.{kind}.{name}", said)
