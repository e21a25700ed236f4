"""Which of the declared HTTP routers may be published, and why the others may not; what both modes share."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from .args import Collisions, TransformArgs
from .findings import Finding, error, notice, warning
from .labels import Declared, Element, LabelModel

__all__ = ["Drop", "Publication", "Router", "merged", "own_name", "path_of", "prefixed", "priority", "unpublishable"]

_INTERNAL: Final = "@internal"
_CREDENTIAL: Final = re.compile(
    r"""\$(2[abxy]?|apr1|1|5|6)\$                           # hashed passwords
    | \{SHA\}
    | PVEAPIToken | -----BEGIN
    | \b(bearer|basic)\s+[A-Za-z0-9+/._~=-]{8,}
    | ://[^/\s:@`"]+:[^/\s@`"]+@                             # passwords in addresses
    | \b(Headers?|HeadersRegexp|HeaderRegexp|Query|QueryRegexp)\(\s*[`"]
      ([\w-]*(authorization|cookie|token|secret|password|api-?key)[\w-]*)""",
    re.IGNORECASE | re.VERBOSE,
)
_OLD_RULE: Final = (
    (re.compile(r"\bHostRegexp\([^)]*\{[A-Za-z_]\w*:"), "HostRegexp with {name:pattern}"),
    (re.compile(r"\bPath(Prefix)?\([^)]*\{[A-Za-z_]\w*(:|\})"), "a path with {name}"),
    (
        re.compile(r"\b(Host|HostHeader|Path|PathPrefix|Method|ClientIP|HostSNI)\(\s*([`\"])[^`\"]*\2\s*,"),
        "several arguments",
    ),
    (re.compile(r"\b(Headers|HeadersRegexp|HostHeader)\("), "a matcher that is gone"),
    (re.compile(r"\bQuery\(\s*([`\"])[^`\"]*=[^`\"]*\1\s*\)"), "Query with name=value"),
)
_MAYBE_OLD: Final = re.compile(r"[{,=]|Header")
_SPLIT: Final = re.compile(r"\straefik\.", re.IGNORECASE)


class Drop:
    """Why a label is not among the gateway's; the keys of the counts (TPX-252)."""

    DISABLED: Final = "container not enabled"
    DOCKER: Final = "docker"
    MALFORMED: Final = "malformed"
    MIDDLEWARE: Final = "middleware"
    OTHER: Final = "other"
    REPEATED: Final = "repeated"
    ROUTER: Final = "router not published"
    ROUTER_OPTION: Final = "router option"
    SERVICE: Final = "service"
    TCP: Final = "tcp"
    UDP: Final = "udp"


_REASONS: Final = {
    "middlewares": Drop.MIDDLEWARE,
    "routers": Drop.ROUTER_OPTION,
    "services": Drop.SERVICE,
}


@dataclass(frozen=True, slots=True)
class Router:
    """One router that is published."""

    name: str
    """Its name on the gateway."""
    declared: Declared
    element: Element

    @property
    def rule(self) -> str:
        """The rule, as the container has it (TPX-86)."""
        return self.element.text("rule")


class Publication:
    """One run: what is published so far, what was dropped, and what there is to say."""

    def __init__(self, model: LabelModel, args: TransformArgs) -> None:
        self.args = args
        self.dropped: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self._refused: set[int] = set()
        self._repeated: set[int] = set()
        self.declared = list(self._enabled(model.containers))

    @cached_property
    def middlewares(self) -> dict[str, Element]:
        """Every HTTP middleware of the enabled containers by its name."""
        elements = (element for declared in self.declared for element in declared.elements.values())
        found = [one for one in elements if one.section == "middlewares" and one.protocol == "http"]
        return {element.name: element for element in reversed(found)}

    def _enabled(self, containers: Iterable[Declared]) -> Iterator[Declared]:
        for container in containers:
            if container.enable or (container.enable is None and self.args.exposed_by_default):
                yield container
                continue
            self.dropped[Drop.DISABLED] += container.label_count
            said = "traefik.enable is not true" if container.enable is None else "traefik.enable is false"
            self.findings.append(notice("TPX-155", container.name, "", f"{said}: its labels are not published"))

    def routers(self) -> list[Router]:
        """List the HTTP routers that may be published, under their own names."""
        found = []
        for declared in self.declared:
            routers = declared.of("http", "routers")
            if not routers:
                self._without_routers(declared)
            for element in routers:
                problem = self._problem(declared, element)
                if problem is None:
                    found.append(Router(element.name, declared, element))
                else:
                    self.refuse(element, problem)
        return found

    def refuse(self, element: Element, finding: Finding) -> None:
        """Leave a router out, and say why."""
        self.findings.append(finding)
        self._refused.add(id(element))

    def repeat(self, element: Element, finding: Finding) -> None:
        """Leave a router out because an equal one is published, and say so."""
        self.findings.append(finding)
        self._repeated.add(id(element))

    def count(
        self, keeps: Callable[[Declared, Element], Collection[str]], owners: Collection[str], *, repeated: bool
    ) -> int:
        """Count the labels that ``keeps`` says are kept, and the others by reason; repeated ones count if asked for.

        ``owners`` are the containers of which something is published.
        """
        kept = 0
        for declared in self.declared:
            there = int(declared.enable is not None)
            if declared.name in owners:
                kept += there
            else:
                self.dropped[Drop.ROUTER] += there
            for element in declared.elements.values():
                there += len(element.options)
                if id(element) in self._refused:
                    self.dropped[Drop.ROUTER] += len(element.options)
                elif id(element) in self._repeated and not repeated:
                    self.dropped[Drop.REPEATED] += len(element.options)
                else:
                    paths = keeps(declared, element)
                    kept += len(paths)
                    self._drop(element, paths)
            for key in declared.other:
                self.dropped[Drop.DOCKER if key.startswith("traefik.docker.") else Drop.OTHER] += 1
            self.dropped[Drop.MALFORMED] += declared.label_count - there - len(declared.other)
        return kept

    def _drop(self, element: Element, kept: Collection[str]) -> None:
        rest = len(element.options) - len(kept)
        if "middlewares" in element.options and element.section == "routers" and element.protocol == "http":
            self.dropped[Drop.MIDDLEWARE] += 1
            rest -= 1
        self.dropped[_reason(element)] += rest

    def _without_routers(self, declared: Declared) -> None:
        if any(key[0] != "http" for key in declared.elements):
            said = (
                "has TCP or UDP routers only, and the gateway's plugin reads HTTP alone: use the file output for them"
            )
            self.findings.append(notice("TPX-168", declared.name, "", said))
        else:
            said = "names no router: the local default rule is unknown to the gateway; add a router with a rule"
            self.findings.append(warning("TPX-150", declared.name, "", said))

    def _problem(self, declared: Declared, element: Element) -> Finding | None:
        rule = element.text("rule")
        label = f"{path_of(element)}.rule"
        if not rule:
            said = "has no rule: the local default rule is unknown to the gateway, so the router is left out"
            return warning("TPX-150", declared.name, label, said)
        service = element.text("service")
        if service.lower().endswith(_INTERNAL) and not self.args.allow_internal:
            said = (
                f"leads to {service}, which would be open to the Internet: it is left out unless allow_internal is set"
            )
            return warning("TPX-156", declared.name, f"{path_of(element)}.service", said)
        if bad := unpublishable(rule):
            return error(bad[0], declared.name, label, bad[1])
        for pattern, form in _OLD_RULE if _MAYBE_OLD.search(rule) else ():
            if pattern.search(rule):
                said = f"uses {form}, which is syntax of Traefik 2: the gateway's Traefik 3 refuses or misreads it"
                self.findings.append(warning("TPX-162", declared.name, label, said))
                break
        return None


def _reason(element: Element) -> str:
    """Tell why the options of an element are dropped; a router's reference to middlewares has a reason of its own."""
    if element.protocol != "http":
        return {"tcp": Drop.TCP, "udp": Drop.UDP}.get(element.protocol, Drop.OTHER)
    return _REASONS.get(element.section, Drop.OTHER)


def own_name(reference: str) -> str:
    """Return the name of an object that labels define, as this model spells it; others' keep their provider."""
    name = reference.removesuffix("@docker")
    return name if "@" in name else name.lower()


def path_of(element: Element) -> str:
    """Write the beginning of an element's labels."""
    return f"traefik.{element.protocol}.{element.section}.{element.name}"


def unpublishable(value: str) -> tuple[str, str] | None:
    """Tell why a value must not be written into notes: requirement and reason, None if it may."""
    if value.isalnum():
        return None
    if value[:1] == '"' or value[-1:] == '"':
        return "TPX-128", "begins or ends with a double quote, which the gateway's plugin cuts off: use backticks"
    if _CREDENTIAL.search(value):
        return "TPX-170", "looks like a credential, and notes are no place for one: match something else"
    if _SPLIT.search(value):
        return "TPX-109", "holds a blank before 'traefik.', where the gateway's plugin would begin a new label"
    return None


def merged(routers: Iterable[Router], publication: Publication) -> list[Router]:
    """Make names unique among the containers of one machine: equal rules are one router (TPX-152)."""
    groups: dict[str, list[Router]] = {}
    for router in routers:
        groups.setdefault(router.name, []).append(router)
    found: dict[str, Router] = {}
    clashing = []
    for name, group in groups.items():
        if len({router.rule for router in group}) > 1:
            clashing.append(group)
            continue
        found[name] = group[0]
        for router in group[1:]:
            said = f"is the same router as in container {group[0].declared.name}: it is published once"
            place = path_of(router.element)
            publication.repeat(router.element, notice("TPX-152", router.declared.name, place, said))
    for group in clashing:
        found |= {router.name: router for router in _apart(group, found, publication)}
    return list(found.values())


def _apart(group: list[Router], taken: Collection[str], publication: Publication) -> list[Router]:
    """Give routers of one name names of their own, if that is wanted and these are free; else tell of them."""
    new = {prefixed(router.declared.name, router.name): router for router in group}
    free = len(new) == len(group) and new.keys().isdisjoint(taken)
    if publication.args.collisions is Collisions.PREFIX and free:
        return [Router(name, router.declared, router.element) for name, router in new.items()]
    names = ", ".join(router.declared.name for router in group)
    said = f"the containers {names} have different rules for it: rename one, or set collisions to 'prefix'"
    if publication.args.collisions is Collisions.PREFIX:
        said = f"the containers {names} have different rules for it, and their names before it are taken: rename one"
    for router in group:
        publication.refuse(router.element, error("TPX-152", router.declared.name, path_of(router.element), said))
    return []


def prefixed(owner: str, name: str) -> str:
    """Put an owner's name before another, in characters that a name may have."""
    return f"{re.sub(r'[^a-z0-9_-]+', '-', owner.lower()).strip('-')}-{name}"


def priority(element: Element) -> int:
    """Return a router's priority: its own, else the length of its rule, as Traefik has it (TPX-158)."""
    own = element.get("priority")
    return own if isinstance(own, int) and own else len(element.text("rule").encode())
