"""Mode `filter`: the labels of a closed list, so that the gateway reaches the containers itself (TPX-68 to TPX-85)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from .args import Collisions
from .findings import abbreviated, error, notice, warning
from .labels import Declared, Element
from .notes import Label
from .routers import Publication, Router, merged, path_of, prefixed, priority, unpublishable
from .schema import sort_key

__all__ = ["filter_labels"]

_PORT: Final = "loadbalancer.server.port"
_GUARDS: Final = frozenset({"basicauth", "digestauth", "forwardauth", "ipallowlist", "ipwhitelist", "plugin"})
"""Middlewares that may keep somebody out. A plugin may do anything."""
_KEPT: Final = frozenset({"rule", "entrypoints", "tls"})
_ROUTERS: Final = "traefik.http.routers."
_ADDED: Final = (".service", ".priority")
"""Options of routers that are not on the keep list but written for safety (TPX-82, TPX-158)."""
_LAST_PORT: Final = 65535
_NUMBER: Final = re.compile(r"[0-9]{1,9}")

_OR_PREFIX: Final = {
    Collisions.REFUSE: ", or set collisions to 'prefix'",
    Collisions.PREFIX: ": with the container's name before it, it is taken too",
}

ServiceKey = tuple[str, str]
"""Container and own name of a service."""


def filter_labels(publication: Publication) -> tuple[list[Label], int, int]:
    """Write the labels; none without a router.

    Returns them, how many of the containers' labels were kept, and how many of the written ones are these.
    """
    strict = publication.args.strict_seed_filter
    routers = merged(_protected(publication.routers(), publication), publication)
    ports = _ports(publication.declared)
    services = _services(ports, publication)
    owners = {name: owner for owner, name in services}
    targets = {id(router): _target(router, services, owners) for router in routers}
    if not strict:
        routers = [router for router in routers if _leads_somewhere(router, targets[id(router)], publication)]
    routers.sort(key=lambda router: router.name)
    published = {router.declared.name for router in routers}
    used = set(targets.values())
    chosen = {key for key in services if key[0] in published or key in used}
    kept = publication.count(
        lambda declared, element: _kept_paths(element, chosen=(declared.name, element.name) in chosen),
        published,
        repeated=True,
    )
    if not routers:
        return [], 0, 0
    names = {services[key] for key in chosen}
    _tell(routers, {key: ports[key] for key in chosen}, publication, several=len(names) > 1)
    labels: list[Label] = [("traefik.enable", "true")]
    for router in routers:
        target = targets[id(router)] if len(names) > 1 and not strict else None
        labels += _router(router, services.get(target, "") if target else "", publication)
    numbers = {services[key]: ports[key] for key in chosen}
    labels += [(f"traefik.http.services.{name}.{_PORT}", numbers[name]) for name in sorted(numbers)]
    enabled = any(declared.enable and declared.name in published for declared in publication.declared)
    added = (not enabled) + sum(key.startswith(_ROUTERS) and key.endswith(_ADDED) for key, _ in labels)
    return labels, kept, len(labels) - added


def _kept_paths(element: Element, *, chosen: bool = False) -> list[str]:
    """List the options that are on the keep list; ``chosen`` tells whether a service is published."""
    if element.protocol != "http":
        return []
    if element.section == "services":
        return [_PORT] if chosen else []
    if element.section != "routers":
        return []
    return [path for path in element.options if path in _KEPT or path.startswith("tls.")]


def _protected(routers: list[Router], publication: Publication) -> Iterator[Router]:
    """Leave out routers that lose what keeps strangers out, unless that is allowed (TPX-81)."""
    allowed = publication.args.allow_dropped_auth
    lost: dict[str, list[str]] = {}
    for router in routers:
        if names := list(_guards(router.element.items("middlewares"), publication.middlewares, set())):
            lost.setdefault(router.name, []).extend(names)
    for router in routers:
        # A router of the same name in another container counts as well: only one of them is published.
        if router.name in lost:
            said = f"loses its middlewares {', '.join(sorted(set(lost[router.name])))}, which may keep strangers out"
            said += "" if allowed else ": it is left out unless allow_dropped_auth is set"
            finding = warning("TPX-81", router.declared.name, path_of(router.element), said)
            if not allowed:
                publication.refuse(router.element, finding)
                continue
            publication.findings.append(finding)
        yield router


def _guards(references: Iterable[str], middlewares: Mapping[str, Element], seen: set[str]) -> Iterator[str]:
    """Give the names among these, and in chains of them, that protect; one that is not known here may do so."""
    for reference in references:
        name, _, provider = reference.lower().partition("@")
        if name in seen:
            continue
        seen.add(name)
        middleware = middlewares.get(name) if provider in {"", "docker"} else None
        if middleware is None or not _GUARDS.isdisjoint(path.partition(".")[0] for path in middleware.options):
            yield reference
        else:
            yield from _guards(middleware.items("chain.middlewares"), middlewares, seen)


def _ports(containers: Iterable[Declared]) -> dict[ServiceKey, str]:
    found = {}
    for declared in containers:
        for element in declared.of("http", "services"):
            if text := element.text(_PORT):
                found[declared.name, element.name] = text
    return found


def _services(ports: Mapping[ServiceKey, str], publication: Publication) -> dict[ServiceKey, str]:
    """Name the services on the gateway: one name has one port, or it is an error (TPX-154)."""
    groups: dict[str, dict[ServiceKey, str]] = {}
    for key, text in ports.items():
        if _NUMBER.fullmatch(text) and 0 < int(text) <= _LAST_PORT:
            groups.setdefault(key[1], {})[key] = text
        else:
            said = f"{abbreviated(text)!r} is no port: the service is left out"
            publication.findings.append(warning("TPX-72", key[0], f"traefik.http.services.{key[1]}.{_PORT}", said))
    found: dict[ServiceKey, str] = {}
    clashing = []
    for name, group in groups.items():
        if len(set(group.values())) == 1:
            found |= dict.fromkeys(group, name)
        else:
            clashing.append((name, group))
    taken = set(found.values())
    for name, group in clashing:
        new = {key: prefixed(key[0], name) for key in group}
        free = len(set(new.values())) == len(new) and taken.isdisjoint(new.values())
        if publication.args.collisions is Collisions.PREFIX and free:
            found |= new
            taken |= set(new.values())
            continue
        uses = ", ".join(f"{owner} port {text}" for (owner, _), text in group.items())
        said = f"{uses}: one service has one port; rename one" + _OR_PREFIX[publication.args.collisions]
        publication.findings.append(error("TPX-154", next(iter(group))[0], f"traefik.http.services.{name}", said))
    return found


def _target(router: Router, services: Mapping[ServiceKey, str], owners: Mapping[str, str]) -> ServiceKey | None:
    """Find the service a router leads to, as the local Traefik does: the named one, else its container's only one."""
    name, _, provider = router.element.text("service").lower().partition("@")
    owner = router.declared.name
    if not name:
        own = router.declared.of("http", "services")
        key = (owner, own[0].name) if len(own) == 1 else ("", "")
        return key if key in services else None
    if provider not in {"", "docker"}:
        return None
    key = (owner, name) if (owner, name) in services else (owners.get(name, ""), name)
    return key if key in services else None


def _leads_somewhere(router: Router, target: ServiceKey | None, publication: Publication) -> bool:
    if target is not None or router.element.text("service").lower().endswith("@internal"):
        return True
    named = router.element.text("service")
    said = (
        f"leads to {named}, which no container here gives a port" if named else "leads to no one service with a port"
    ) + ": the gateway would choose one by chance, so the router is left out"
    publication.refuse(router.element, warning("TPX-82", router.declared.name, path_of(router.element), said))
    return False


def _router(router: Router, service: str, publication: Publication) -> list[Label]:
    args, element = publication.args, router.element
    internal = element.text("service")
    values = {path: element.options[path] for path in _kept_paths(element)}
    if not args.strict_seed_filter and "entrypoints" in values:
        # The plugin does not trim: a blank behind a comma would be part of the name (TPX-265).
        values["entrypoints"] = ",".join(
            args.rename_entrypoints.get(name, name) for name in element.items("entrypoints")
        )
    if "tls.certresolver" in values:
        values["tls.certresolver"] = args.rename_resolvers.get(values["tls.certresolver"], values["tls.certresolver"])
    if internal.lower().endswith("@internal"):
        values["service"] = internal
    elif service:
        values["service"] = service
    if args.emits_priority:
        values["priority"] = str(priority(element))
    labels = []
    for path in sorted(values, key=sort_key):
        key = f"traefik.http.routers.{router.name}.{path}"
        # The rule was looked at before.
        if path != "rule" and (bad := unpublishable(values[path])):
            publication.findings.append(error(bad[0], router.declared.name, key, bad[1]))
        else:
            labels.append((key, values[path]))
    return labels


def _tell(routers: list[Router], ports: Mapping[ServiceKey, str], publication: Publication, *, several: bool) -> None:
    """Say what will not work on the gateway as it does on the machine."""
    args = publication.args
    points = {args.entrypoint, *args.known_entrypoints}
    resolvers = {args.cert_resolver, *args.known_resolvers}
    said: list[tuple[str, str]]
    for router in routers:
        element, said = router.element, []
        if not element.items("entrypoints"):
            said.append(("TPX-148", "names no entry point: it listens on all of the gateway's, also on plain HTTP"))
        for name in element.items("entrypoints"):
            if args.rename_entrypoints.get(name, name) not in points:
                said.append(("TPX-84", f"entry point {name} is not known to the gateway: set rename_entrypoints"))
        resolver = element.text("tls.certresolver")
        if resolver and args.rename_resolvers.get(resolver, resolver) not in resolvers:
            said.append(
                ("TPX-84", f"certificate resolver {resolver} is not known to the gateway: set rename_resolvers")
            )
        if args.strict_seed_filter and several:
            said.append(("TPX-82", "leads to a service by chance, for the guest has several: unset strict_seed_filter"))
        publication.findings += [warning(rule, router.declared.name, path_of(element), text) for rule, text in said]
        if not any(path == "tls" or path.startswith("tls.") for path in element.options):
            text = "has no tls: it relies on the default of the gateway's entry point"
            publication.findings.append(notice("TPX-149", router.declared.name, path_of(element), text))
    published = {declared.name: declared.published for declared in publication.declared}
    for key in sorted(ports):
        known = published[key[0]]
        if known is None or int(ports[key]) not in known:
            text = f"port {ports[key]} must be published on the machine's address, or the gateway does not reach it"
            publication.findings.append(warning("TPX-83", key[0], f"traefik.http.services.{key[1]}", text))
