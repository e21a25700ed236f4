"""TCP and UDP, which the gateway's plugin does not read: they go into the file only, in both modes (TPX-243)."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from .args import Collisions, Mode, TransformArgs
from .findings import Finding, error, warning
from .labels import Declared, Element, ElementKey
from .routers import own_name, path_of, prefixed

__all__ = ["stream_elements", "told_apart"]

_PROTOCOLS = ("tcp", "udp")

Elements = Mapping[str, list[Element]]
"""Elements by the container, or by the machine, that they come from."""


def stream_elements(containers: Iterable[Declared], args: TransformArgs) -> tuple[list[Element], list[Finding]]:
    """Make the gateway's TCP and UDP routers and services, ordered, and tell what could not be published.

    In mode `passthrough` they lead to the ports of the machine's Traefik (``local_ports``), which ends the TLS; in mode
    `filter` to the containers, with all their options. Equal ones of several containers are one.
    """
    findings: list[Finding] = []
    make = _passed if args.mode is Mode.PASSTHROUGH else _kept
    enabled = [one for one in containers if one.enable or (one.enable is None and args.exposed_by_default)]
    made = {declared.name: list(make(declared, args, findings)) for declared in enabled}
    different: dict[ElementKey, set[frozenset[tuple[str, str]]]] = {}
    for element in (element for elements in made.values() for element in elements):
        different.setdefault(element.key, set()).add(frozenset(element.options.items()))
    shared = {key for key, options in different.items() if len(options) > 1}
    apart, clashes = _apart(made, shared, lambda _: args, "TPX-152")
    found = {element.key: element for elements in apart.values() for element in elements}
    return [found[key] for key in sorted(found)], [*findings, *(one for said in clashes.values() for one in said)]


def told_apart(
    streams: Elements, args: Mapping[str, TransformArgs]
) -> tuple[dict[str, list[Element]], dict[str, list[Finding]]]:
    """Make names differ over the machines of one gateway, or tell that they do not (TPX-99)."""
    counts = Counter(element.key for elements in streams.values() for element in elements)
    return _apart(streams, {key for key, count in counts.items() if count > 1}, lambda machine: args[machine], "TPX-99")


def _apart(
    streams: Elements, shared: Collection[ElementKey], args_of: Callable[[str], TransformArgs], rule: str
) -> tuple[dict[str, list[Element]], dict[str, list[Finding]]]:
    """Put their owner's name before shared names where that is wanted and free; else tell of them."""
    taken = {element.key for elements in streams.values() for element in elements}
    done: dict[str, list[Element]] = {}
    findings: dict[str, list[Finding]] = {}
    for owner, elements in streams.items():
        new = [_renamed(element, shared, owner) for element in elements]
        moved = {one.key for one, old in zip(new, elements, strict=True) if one.key != old.key}
        findings[owner] = []
        if args_of(owner).collisions is Collisions.PREFIX and taken.isdisjoint(moved):
            done[owner] = new
            taken |= moved
            continue
        done[owner] = elements
        for element in elements:
            if element.key in shared:
                others = ", ".join(other for other in streams if other != owner and _has(streams[other], element.key))
                said = f"{others} has the same name for something else: rename one, or set collisions to 'prefix'"
                findings[owner].append(error(rule, owner, path_of(element), said))
    return done, findings


def _has(elements: Iterable[Element], key: ElementKey) -> bool:
    return any(element.key == key for element in elements)


def _renamed(element: Element, shared: Collection[ElementKey], owner: str) -> Element:
    """Rename an element, if its name is shared, and what it refers to."""

    def name(section: str, own: str) -> str:
        return prefixed(owner, own) if (element.protocol, section, own) in shared else own

    options = dict(element.options)
    if element.section == "routers" and "service" in options:
        options["service"] = name("services", options["service"])
    if element.section == "routers" and "middlewares" in options:
        options["middlewares"] = ",".join(
            name("middlewares", one) for one in map(own_name, element.items("middlewares"))
        )
    return Element(element.protocol, element.section, name(element.section, element.name), options)


def _kept(declared: Declared, args: TransformArgs, findings: list[Finding]) -> Iterator[Element]:
    for protocol in _PROTOCOLS:
        services = [element.name for element in declared.of(protocol, "services")]
        for element in declared.of(protocol, "routers"):
            options = dict(element.options)
            if protocol == "tcp" and not element.text("rule"):
                findings.append(warning("TPX-150", declared.name, path_of(element), "has no rule: it is left out"))
                continue
            if "service" not in options:
                if len(services) != 1:
                    said = "leads to no one service of its container: it is left out"
                    findings.append(warning("TPX-82", declared.name, path_of(element), said))
                    continue
                options["service"] = services[0]
            options["service"] = own_name(options["service"])
            if "entrypoints" in options:
                points = (args.rename_entrypoints.get(name, name) for name in element.items("entrypoints"))
                options["entrypoints"] = ",".join(points)
            if "tls.certresolver" in options:
                resolver = options["tls.certresolver"]
                options["tls.certresolver"] = args.rename_resolvers.get(resolver, resolver)
            yield Element(protocol, "routers", element.name, options)
        yield from declared.of(protocol, "services")
        yield from declared.of(protocol, "middlewares")


def _passed(declared: Declared, args: TransformArgs, findings: list[Finding]) -> Iterator[Element]:
    for protocol in _PROTOCOLS:
        for element in declared.of(protocol, "routers"):
            if protocol == "tcp" and not element.text("rule"):
                findings.append(warning("TPX-150", declared.name, path_of(element), "has no rule: it is left out"))
                continue
            points = element.items("entrypoints")
            known = [point for point in points if point in args.local_ports]
            if len(known) < len(points) or not points:
                missing = ", ".join(point for point in points if point not in known) or "any entry point"
                said = f"local_ports names no port for {missing} of the machine's Traefik: the router is left out there"
                findings.append(warning("TPX-243", declared.name, path_of(element), said))
            for point in known:
                service = f"{args.gateway_service_name}-{point.lower()}"
                name = element.name if len(known) == 1 else f"{element.name}-{point.lower()}"
                options = {"entrypoints": args.rename_entrypoints.get(point, point), "service": service}
                if protocol == "tcp":
                    options["rule"] = element.text("rule")
                    if element.has_tls:
                        options["tls.passthrough"] = "true"
                yield Element(protocol, "routers", name, options)
                yield Element(protocol, "services", service, {"loadbalancer.server.port": str(args.local_ports[point])})
