"""TCP and UDP, which the gateway's plugin does not read: they go into the file only, in both modes (TPX-243)."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from .args import Collisions, Mode, TransformArgs
from .findings import Finding, error, warning
from .labels import Declared, Element, ElementKey
from .routers import path_of, prefixed

__all__ = ["stream_elements", "told_apart"]

_PROTOCOLS = ("tcp", "udp")


def stream_elements(containers: Iterable[Declared], args: TransformArgs) -> tuple[list[Element], list[Finding]]:
    """Make the gateway's TCP and UDP routers and services, ordered, and tell what could not be published.

    In mode `passthrough` they lead to the ports of the machine's Traefik (``local_ports``), which ends the TLS; in mode
    `filter` to the containers, with all their options.
    """
    found: dict[ElementKey, Element] = {}
    owners: dict[ElementKey, str] = {}
    findings: list[Finding] = []
    make = _passed if args.mode is Mode.PASSTHROUGH else _kept
    for declared in containers:
        if not (declared.enable or (declared.enable is None and args.exposed_by_default)):
            continue
        for element in make(declared, args, findings):
            known = found.setdefault(element.key, element)
            owner = owners.setdefault(element.key, declared.name)
            if known.options == element.options:
                continue
            if args.collisions is Collisions.PREFIX:
                renamed = Element(
                    element.protocol, element.section, prefixed(declared.name, element.name), element.options
                )
                found[renamed.key] = renamed
            else:
                said = f"the containers {owner}, {declared.name} declare it differently: rename one"
                findings.append(error("TPX-152", declared.name, path_of(element), said))
    return [found[key] for key in sorted(found)], findings


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
            if "entrypoints" in options:
                options["entrypoints"] = ",".join(_points(element, args))
            if "tls.certresolver" in options:
                resolver = options["tls.certresolver"]
                options["tls.certresolver"] = args.rename_resolvers.get(resolver, resolver)
            yield Element(protocol, "routers", element.name, options)
        yield from declared.of(protocol, "services")
        yield from declared.of(protocol, "middlewares")


def _points(element: Element, args: TransformArgs) -> list[str]:
    return [args.rename_entrypoints.get(name, name) for name in element.items("entrypoints")]


def _passed(declared: Declared, args: TransformArgs, findings: list[Finding]) -> Iterator[Element]:
    for protocol in _PROTOCOLS:
        for element in declared.of(protocol, "routers"):
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


def told_apart(
    streams: Mapping[str, list[Element]], args: Mapping[str, TransformArgs]
) -> tuple[dict[str, list[Element]], dict[str, list[Finding]]]:
    """Make names differ over the machines of one gateway, or tell that they do not (TPX-99)."""
    counts = Counter(element.key for elements in streams.values() for element in elements)
    done: dict[str, list[Element]] = {}
    findings: dict[str, list[Finding]] = {}
    for machine, elements in streams.items():
        shared = {element.key for element in elements if counts[element.key] > 1}
        findings[machine] = []
        if args[machine].collisions is Collisions.PREFIX:
            done[machine] = [_renamed(element, shared, machine) for element in elements]
            continue
        done[machine] = elements
        for element in elements:
            if element.key in shared:
                said = "another machine has the same name: rename one, or set collisions to 'prefix'"
                findings[machine].append(error("TPX-99", machine, path_of(element), said))
    return done, findings


def _renamed(element: Element, shared: Collection[ElementKey], machine: str) -> Element:
    def name(section: str, own: str) -> str:
        return prefixed(machine, own) if (element.protocol, section, own) in shared else own

    options = dict(element.options)
    if element.section == "routers" and "service" in options:
        options["service"] = name("services", options["service"])
    if element.section == "routers" and "middlewares" in options:
        options["middlewares"] = ",".join(name("middlewares", one) for one in element.items("middlewares"))
    return Element(element.protocol, element.section, name(element.section, element.name), options)
