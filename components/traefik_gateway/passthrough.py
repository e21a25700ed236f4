"""Mode `passthrough`: every router of the machine leads, over TLS, to the machine's own Traefik (TPX-86 to TPX-99)."""

from collections.abc import Iterator, Mapping

from .findings import notice, warning
from .labels import Element
from .notes import Label
from .routers import Publication, Router, merged, path_of, priority

__all__ = ["passthrough_labels"]

_TAKEN = frozenset({"entrypoints", "rule", "service", "tls", "tls.certresolver"})
_REDIRECTS = frozenset({"redirectscheme", "redirectregex"})


def passthrough_labels(publication: Publication) -> list[Label]:
    """Write the gateway's labels: five a router, two for the service, one to enable; none without a router (TPX-95)."""
    own = merged(_without_redirects(publication.routers(), publication), publication)
    routers = sorted(_simplified(own, publication), key=lambda router: router.name)
    _tell(routers, publication)
    taken = _TAKEN | {"priority"} if publication.args.emits_priority else _TAKEN
    owners = {router.declared.name for router in routers}
    publication.count(
        lambda _, element: taken & element.options.keys() if _is_router(element) else (), owners, repeated=False
    )
    return list(_labels(routers, publication)) if routers else []


def _is_router(element: Element) -> bool:
    return element.protocol == "http" and element.section == "routers"


def _labels(routers: list[Router], publication: Publication) -> Iterator[Label]:
    args = publication.args
    yield "traefik.enable", "true"
    for router in routers:
        start = f"traefik.http.routers.{router.name}"
        yield f"{start}.entrypoints", args.entrypoint
        if args.emits_priority:
            yield f"{start}.priority", str(priority(router.element))
        yield f"{start}.rule", router.rule
        yield f"{start}.service", args.gateway_service_name
        yield f"{start}.tls", "true"
        yield f"{start}.tls.certresolver", args.cert_resolver
    server = f"traefik.http.services.{args.gateway_service_name}.loadbalancer.server"
    if args.server_ip is not None:
        yield f"{server}.ip", str(args.server_ip)
    yield f"{server}.port", str(args.traefik_local_port)
    yield f"{server}.scheme", args.server_scheme


def _without_redirects(routers: list[Router], publication: Publication) -> Iterator[Router]:
    """Leave out local redirects to TLS where the router they lead to is there as well (TPX-157)."""
    secure = {router.rule for router in routers if router.element.has_tls}
    for router in routers:
        if router.element.has_tls or not _only_redirects(router.element, publication.middlewares):
            yield router
        elif router.rule in secure:
            said = "only redirects to the router with the same rule and TLS: it is left out"
            publication.refuse(router.element, notice("TPX-157", router.declared.name, path_of(router.element), said))
        else:
            said = "only redirects, and no router with TLS has its rule: it is published"
            publication.findings.append(notice("TPX-157", router.declared.name, path_of(router.element), said))
            yield router


def _only_redirects(element: Element, middlewares: Mapping[str, Element]) -> bool:
    names = element.items("middlewares")
    return bool(names) and all(_redirects(name.lower(), middlewares) for name in names)


def _redirects(reference: str, middlewares: Mapping[str, Element]) -> bool:
    name, _, provider = reference.partition("@")
    middleware = middlewares.get(name) if provider in {"", "docker"} else None
    if middleware is None:
        return "redirect" in name
    return {path.partition(".")[0] for path in middleware.options} <= _REDIRECTS


def _simplified(routers: list[Router], publication: Publication) -> list[Router]:
    """Take the prefix off the names where that does not make two of one (TPX-96, TPX-151)."""
    prefix = publication.args.strip_prefix.lower()
    names = {router.name: _short(router.name, prefix) for router in routers}
    while True:
        groups: dict[str, list[Router]] = {}
        for router in routers:
            groups.setdefault(names[router.name], []).append(router)
        clashing = [group for group in groups.values() if len({router.rule for router in group}) > 1]
        if not clashing:
            break
        # Their own names are unique; but one of these may be what another was shortened to, hence the loop.
        for router in (router for group in clashing for router in group):
            if names[router.name] != router.name:
                said = f"would become {names[router.name]}, which another router is called: it keeps its name"
                publication.findings.append(warning("TPX-151", router.declared.name, router.name, said))
                names[router.name] = router.name
    found = []
    for name, (first, *rest) in groups.items():
        found.append(Router(name, first.declared, first.element))
        for router in rest:
            said = f"has the same rule as {first.name}: both are one router, {name}"
            publication.repeat(router.element, notice("TPX-151", router.declared.name, router.name, said))
    return found


def _short(name: str, prefix: str) -> str:
    return name[len(prefix) :] if prefix and name.startswith(prefix) and len(name) > len(prefix) else name


def _tell(routers: list[Router], publication: Publication) -> None:
    """Say what will surprise: one rule under two names, and TLS-only routers behind a plain port."""
    named: dict[str, str] = {}
    for router in routers:
        first = named.setdefault(router.rule, router.name)
        if first != router.name:
            said = f"has the same rule as {first}: both are published, and lead to the same place"
            publication.findings.append(notice("TPX-153", router.declared.name, router.name, said))
    if publication.args.server_scheme == "https":
        return
    plain = {router.rule for router in routers if not router.element.has_tls}
    for router in routers:
        if router.element.has_tls and router.rule not in plain:
            said = (
                f"answers TLS only, but the gateway speaks plain HTTP to port {publication.args.traefik_local_port}: "
                "the local Traefik may answer 404; give it a router without tls, or set server_scheme to 'https'"
            )
            publication.findings.append(warning("TPX-174", router.declared.name, path_of(router.element), said))
