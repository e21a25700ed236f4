"""Every option of Traefik's dynamic configuration, as data: where it stands, its type, and where it may be written.

The tables list, per section, one option a line: path, kind, and ``file``, ``label`` or ``plugin`` where it belongs to
only one of them. In a path ``[]`` stands for an index, ``*`` for one name of the user's, ``**`` for a name with dots.
Names are written as the reference spells them in files; Traefik compares them without regard to case (TPX-63).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from .schema_http import HTTP
from .schema_middlewares import MIDDLEWARES
from .schema_streams import STREAMS

__all__ = ["OPTIONS", "SECTIONS", "Kind", "Option", "Origin", "Value", "find", "read", "sort_key", "write"]

Value = str | bool | int | tuple[str, ...]

# No list is as long as a longer number says, and Python refuses to read one of thousands of digits.
_INDEX: Final = re.compile(r"\[([0-9]{1,9})\]")
_GO_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_GO_DURATION: Final = re.compile(r"[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)")
_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})
_INT64: Final = 2**63


class Kind(StrEnum):
    """What an option's value is."""

    STRING = "string"
    BOOL = "bool"
    INT = "int"
    DURATION = "duration"
    """Go's notation (``1m30s``), or whole seconds."""
    LIST = "list"
    """Texts, separated by commas in a label."""
    FLAG = "flag"
    """An object that may stand alone (``tls=true``); anything but true removes it with all its options."""


class Origin(StrEnum):
    """Who reads an option."""

    ANY = "any"
    FILE = "file"
    LABEL = "label"
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the tables."""

    section: tuple[str, str]
    """Protocol and kind of object, for example ``("http", "routers")``; in lower case."""
    path: tuple[str, ...]
    """The names below the object's own, as files spell them."""
    kind: Kind
    origin: Origin

    @property
    def key(self) -> str:
        """The path as labels spell it."""
        return ".".join(self.path).lower()


def _options() -> dict[tuple[str, str], dict[str, Option]]:
    found: dict[tuple[str, str], dict[str, Option]] = {}
    rows: dict[str, Option] = {}
    section = ("", "")
    for line in (HTTP + MIDDLEWARES + STREAMS).splitlines():
        words = line.split()
        if not line.startswith(" "):
            if words:
                protocol, kind = words[0].lower().split(".")
                section = (protocol, kind)
                rows = found.setdefault(section, {})
            continue
        option = Option(
            section, tuple(words[0].split(".")), Kind(words[1]), Origin(words[2]) if words[2:] else Origin.ANY
        )
        rows[option.key] = option
    return found


OPTIONS: Final[Mapping[tuple[str, str], Mapping[str, Option]]] = _options()
"""The rows by section and by path in lower case."""

SECTIONS: Final = frozenset(OPTIONS)
"""Every pair of protocol and kind of object there is, for example ``("udp", "routers")``."""


def _pattern(key: str) -> re.Pattern[str]:
    free = re.escape(key).replace(r"\*\*", "(.+)").replace(r"\*", r"([^.]+)")
    return re.compile(free.replace(r"\[\]", r"\[[0-9]{1,9}\]"), re.IGNORECASE | re.DOTALL)


_OPEN: Final = {
    section: [(_pattern(key), option) for key, option in rows.items() if "*" in key or "[]" in key]
    for section, rows in OPTIONS.items()
}


@lru_cache(maxsize=8192)
def find(section: tuple[str, str], path: str) -> tuple[str, Option | None]:
    """Find an option by its path below an object's name, in any case.

    Returns the canonical path, lower case but for the names that are the user's own (headers, settings of plugins),
    and the row, or None for an option that Traefik does not have.
    """
    key = path.lower()
    option = OPTIONS[section].get(key)
    if option is not None:
        return key, option
    for pattern, row in _OPEN[section]:
        if match := pattern.fullmatch(path):
            return _lowered(path, [match.span(group) for group in range(1, pattern.groups + 1)]), row
    return key, None


def _lowered(path: str, kept: list[tuple[int, int]]) -> str:
    """Lower a path but for the spans to keep."""
    parts, done = [], 0
    for start, end in kept:
        parts += [path[done:start].lower(), path[start:end]]
        done = end
    return "".join([*parts, path[done:].lower()])


@lru_cache(maxsize=8192)
def sort_key(path: str) -> tuple[tuple[str, int], ...]:
    """Order paths by their segments, indexes by number (TPX-105, TPX-106): ``tls`` before ``tls.options``."""
    return tuple(_segment(part) for part in path.split("."))


def _segment(part: str) -> tuple[str, int]:
    found = _INDEX.search(part) if part.endswith("]") else None
    return (part[: found.start()], int(found[1])) if found else (part, -1)


def read(kind: Kind, text: str) -> Value:
    """Read a label's value as Traefik does. Raises ValueError with the rule it breaks."""
    if kind is Kind.STRING:
        return text
    if kind is Kind.LIST:
        return tuple(item.strip() for item in text.split(",")) if text else ()
    if kind in {Kind.BOOL, Kind.FLAG}:
        word = text.lower()
        if word in _TRUE or (kind is Kind.FLAG and not text):
            return True
        if word in _FALSE or kind is Kind.FLAG:
            return False
        raise ValueError("is neither true nor false")
    if kind is Kind.DURATION:
        if _GO_INTEGER.fullmatch(text) or _GO_DURATION.fullmatch(text):
            return text
        raise ValueError("is no duration: write it like 30s, 1m30s, or in whole seconds")
    if _GO_INTEGER.fullmatch(text) and -_INT64 <= int(text) < _INT64:
        return int(text)
    raise ValueError("is no whole number")


def write(value: Value) -> str:
    """Write a value as a label's text; ``read`` gives the value back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)
