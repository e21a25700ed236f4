"""Traefik's labels as Traefik reads them, and back: a typed model of what the containers of one machine declare.

Nothing here opens a connection. Malformed labels never raise: they are reported and left out (TPX-66).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from .findings import Finding, abbreviated, notice, warning
from .schema import SECTIONS, Kind, Option, Origin, Value, find, read, sort_key, write

__all__ = [
    "PREFIX",
    "Container",
    "Counts",
    "Declared",
    "Element",
    "ElementKey",
    "LabelModel",
    "parse",
    "parse_labels",
    "render_labels",
]

PREFIX: Final = "traefik."
_LINE_BREAKS: Final = re.compile(r"[ \t]*[\r\n]+[ \t]*")
_INDEX: Final = re.compile(r"\[\d+\]")
_RUNNING: Final = "running"
_FULL: Final = 5
"""A full key has so many parts: ``traefik``, protocol, kind of object, name, option."""
_LISTED: Final = "certificates"
"""The one kind of object that has no names but indexes: ``traefik.tls.certificates[0].certfile``."""
_PROVIDERS: Final = frozenset({"docker", "swarm"})
"""Settings for Traefik's own provider, without meaning for a gateway (TPX-58)."""
_BAD_IN_A_NAME: Final = re.compile(r"[\s@=\"'`\[\]\x00-\x1f\x7f]")

ElementKey = tuple[str, str, str]
"""Protocol, kind of object and name, in lower case: ``("http", "routers", "app")``."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the inspection found it (TPX-251)."""

    name: str
    labels: Mapping[str, str]
    state: str = _RUNNING
    published: tuple[int, ...] | None = None
    """The ports it publishes on the machine's address; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Element:
    """One router, service, middleware or other named object of a container."""

    protocol: str
    section: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    """The labels below the name: canonical path and text as written, in no order."""

    @property
    def key(self) -> ElementKey:
        """What identifies it."""
        return (self.protocol, self.section, self.name)

    def get(self, path: str) -> Value | None:
        """Return the typed value of an option, None if it is absent or malformed. An unknown option is a text."""
        text = self.options.get(path)
        option = self.option(path)
        if text is None or option is None:
            return text
        try:
            return read(option.kind, text)
        except ValueError:
            return None

    def text(self, path: str) -> str:
        """Return the text of an option, empty if it is absent."""
        return self.options.get(path, "")

    def items(self, path: str) -> tuple[str, ...]:
        """Return the texts of an option that is a list, empty if it is absent."""
        text = self.options.get(path)
        return tuple(item for part in text.split(",") if (item := part.strip())) if text else ()

    def option(self, path: str) -> Option | None:
        """Return the row of an option, None if Traefik has no such option."""
        return find((self.protocol, self.section), path)[1]

    @property
    def has_tls(self) -> bool:
        """Whether a router answers TLS only: ``tls`` or anything below it, unless it is switched off."""
        if "tls" in self.options:
            return self.get("tls") is True
        return any(path.startswith("tls.") for path in self.options)

    def labels(self) -> Iterator[tuple[str, str]]:
        """Give its labels in the order of their segments."""
        start = f"{PREFIX}{self.protocol}.{self.section}"
        start += self.name if self.section == _LISTED else f".{self.name}"
        return ((f"{start}.{path}", self.options[path]) for path in sorted(self.options, key=sort_key))


@dataclass(frozen=True, slots=True)
class Declared:
    """One logical container: what it declares. Replicas of one service are one (TPX-52)."""

    name: str
    enable: bool | None
    """``traefik.enable``; None if it is absent."""
    elements: Mapping[ElementKey, Element]
    other: Mapping[str, str]
    """``traefik.docker.*`` and unknown kinds, by their key in lower case (TPX-58, TPX-60)."""
    label_count: int = field(compare=False)
    replicas: tuple[str, ...] = ()
    """The names of further containers with the same labels."""
    published: tuple[int, ...] | None = None

    def of(self, protocol: str, section: str) -> list[Element]:
        """List the elements of one kind in the order of their names."""
        keys = [key for key in self.elements if key[1] == section and key[0] == protocol]
        return [self.elements[key] for key in sorted(keys)]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is; names are counted once (TPX-62)."""

    labels: int
    containers: int
    routers: int
    services: int
    middlewares: int

    def __str__(self) -> str:
        return (
            f"Parsed {self.labels} labels "
            f"({self.routers} routers, {self.services} services, {self.middlewares} middlewares)"
        )


@dataclass(frozen=True, slots=True)
class LabelModel:
    """What all containers of one machine declare, in the order of their names."""

    containers: tuple[Declared, ...]
    findings: tuple[Finding, ...] = field(default=(), compare=False)

    @property
    def counts(self) -> Counts:
        """Count labels, containers with labels, and distinct names of each kind over all protocols."""
        names = {key for container in self.containers for key in container.elements}
        kinds = [section for _, section, _ in names]
        return Counts(
            labels=sum(container.label_count for container in self.containers),
            containers=len(self.containers),
            routers=kinds.count("routers"),
            services=kinds.count("services"),
            middlewares=kinds.count("middlewares"),
        )

    @property
    def discovered(self) -> str:
        """The message of a discovery (TPX-46)."""
        return f"Found {self.counts.labels} Traefik labels across {len(self.containers)} containers"


def parse(containers: Iterable[Container]) -> LabelModel:
    """Read the labels of the running containers; the result does not depend on any order (TPX-49, TPX-51)."""
    findings: list[Finding] = []
    found: list[Declared] = []
    for container in sorted(containers, key=_order):
        name = container.name.removeprefix("/")
        if container.state.lower() == _RUNNING:
            declared, said = parse_labels(name, container.labels, container.published)
            findings += said
            if declared.label_count:
                found.append(declared)
        elif any(map(_is_traefik, container.labels)):
            findings.append(notice("TPX-49", name, "", f"is {abbreviated(container.state)}: its labels are not read"))
    return LabelModel(tuple(_logical(found)), tuple(findings))


def parse_labels(
    name: str, labels: Mapping[str, str], published: tuple[int, ...] | None = None
) -> tuple[Declared, list[Finding]]:
    """Read the Traefik labels of one container; all others are ignored (TPX-48)."""
    reader = _Reader(name)
    pairs = [(key, text) for key, text in labels.items() if _is_traefik(key)]
    if len({key.lower() for key, _ in pairs}) < len(pairs):
        # Only keys that differ in case make the result depend on the order of the labels.
        pairs.sort()
    for key, text in pairs:
        reader.label(key, text)
    elements = {key: Element(*key, options) for key, options in reader.options.items()}
    declared = Declared(name, reader.enable, elements, reader.other, reader.count, published=published)
    return declared, reader.findings


def render_labels(declared: Declared) -> dict[str, str]:
    """Write a container's labels again: ``parse_labels`` gives the same model back."""
    labels = {} if declared.enable is None else {f"{PREFIX}enable": write(declared.enable)}
    for key in sorted(declared.elements):
        labels.update(declared.elements[key].labels())
    return labels | dict(sorted(declared.other.items()))


def _order(container: Container) -> tuple[str, list[tuple[str, str]]]:
    return container.name.removeprefix("/"), sorted(container.labels.items())


def _logical(containers: list[Declared]) -> list[Declared]:
    """Merge replicas: the same labels, and at least one named object among them (TPX-52)."""
    named: dict[frozenset[ElementKey], list[Declared]] = {}
    for container in containers:
        named.setdefault(frozenset(container.elements), []).append(container)
    found: list[Declared] = []
    for names, group in named.items():
        # Few containers share all their names, so that their labels are seldom compared.
        found += group if len(group) == 1 or not names else _replicas(group)
    return sorted(found, key=lambda declared: declared.name)


def _replicas(containers: list[Declared]) -> Iterator[Declared]:
    groups: dict[object, list[Declared]] = {}
    for container in containers:
        texts = frozenset((key, frozenset(element.options.items())) for key, element in container.elements.items())
        same = (texts, container.enable, frozenset(container.other.items()))
        groups.setdefault(same, []).append(container)
    for first, *rest in groups.values():
        ports = [one.published for one in (first, *rest) if one.published is not None]
        published = tuple(sorted({port for some in ports for port in some})) if ports else None
        yield replace(first, replicas=tuple(one.name for one in rest), published=published)


def _is_traefik(key: str) -> bool:
    return key.startswith(PREFIX) or key[: len(PREFIX)].lower() == PREFIX


def _unknown(section: tuple[str, str], path: str) -> str:
    plain = find(section, _INDEX.sub("", path))[1] if "[" in path else None
    if plain is not None and plain.kind is Kind.LIST:
        return "is read as an empty list: Traefik takes the items of this one from a single label, separated by commas"
    return "is no option of Traefik, which refuses all labels of the container for it: correct or remove it"


class _Reader:
    """Reads the labels of one container."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enable: bool | None = None
        self.options: dict[ElementKey, dict[str, str]] = {}
        self.other: dict[str, str] = {}
        self.count = 0
        self.findings: list[Finding] = []

    def label(self, key: str, text: str) -> None:
        """Read one label whose key begins with the prefix."""
        self.count += 1
        text = text.strip()
        if not (text.isprintable() and key.isprintable()):
            if "\0" in text or "\0" in key:
                self._skip("TPX-129", key, "holds a NUL character, which no note can: remove it")
                return
            text = _LINE_BREAKS.sub(" ", text)
        if ".." in key or key[-1] == ".":
            self._skip("TPX-66", key, "a name in this key is empty, and Traefik refuses it: complete or remove it")
            return
        parts = key.split(".", 4)
        if len(parts) == _FULL and (section := (parts[1].lower(), parts[2].lower())) in SECTIONS:
            self._option(section, parts[3].lower(), parts[4], key, text)
        else:
            self._rare(parts, key, text)

    def _rare(self, parts: list[str], key: str, text: str) -> None:
        names = [part.lower() for part in parts]
        if names[1:] == ["enable"]:
            self._enable(key, text)
        elif names[1] == "tls" and len(parts) > 3 and names[2].startswith(f"{_LISTED}["):  # noqa: PLR2004 - an index and an option
            section, index = ("tls", _LISTED), names[2].removeprefix(_LISTED)
            self._option(section, index, ".".join(parts[3:]), key, text)
        elif tuple(names[1:3]) in SECTIONS:
            self._skip(
                "TPX-66", key, "names no option: complete it as traefik.http.routers.NAME.OPTION=VALUE, or remove it"
            )
        else:
            place = ".".join(names)
            if place in self.other:
                self._repeated(key)
            self.other[place] = text
            if names[1] not in _PROVIDERS:
                said = "is of a kind that is not known here; it is kept in the model and published nowhere"
                self.findings.append(notice("TPX-60", self.name, key, said))

    def _enable(self, key: str, text: str) -> None:
        try:
            self.enable = bool(read(Kind.BOOL, text))
        except ValueError as problem:
            self.enable = False
            self._skip("TPX-67", f"{key}={text}", f"{problem}: the container counts as not enabled")

    def _option(self, section: tuple[str, str], name: str, path: str, key: str, text: str) -> None:
        place = (*section, name)
        options = self.options.get(place)
        if options is None:
            if section[1] != _LISTED and _BAD_IN_A_NAME.search(name):
                said = f"{abbreviated(name)!r} is no name: it holds a blank or one of @ = \" ' ` [ ]"
                self._skip("TPX-165", key, said)
                return
            options = self.options[place] = {}
        path, option = find(section, path)
        if path in options:
            self._repeated(key)
        options[path] = text
        if option is None:
            self.findings.append(warning("TPX-60", self.name, key, _unknown(section, path)))
        elif text != "true" and option.kind is not Kind.STRING and option.kind is not Kind.LIST:
            try:
                read(option.kind, text)
            except ValueError as problem:
                said = f"{abbreviated(text)!r} {problem}; Traefik refuses all labels of the container for it"
                self.findings.append(warning("TPX-66", self.name, key, said))
        if option is not None and option.origin is Origin.FILE:
            said = "is read from files only: as a label it has no effect"
            self.findings.append(notice("TPX-60", self.name, key, said))

    def _repeated(self, key: str) -> None:
        """Tell of two labels that differ in case only; the last in the order of bytes wins, as in Traefik."""
        said = "is there twice, in other case: Traefik uses the last in the order of bytes; remove one"
        self.findings.append(warning("TPX-63", self.name, key, said))

    def _skip(self, rule: str, label: str, message: str) -> None:
        self.findings.append(warning(rule, self.name, label, f"{message}; it is left out"))
