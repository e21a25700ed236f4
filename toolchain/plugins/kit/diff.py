"""Exact differences between two property values, by property path.

A path reads as in Pulumi's own documents: ``spec.template.spec.containers[0].image``; a key which holds anything but
letters, digits, ``_`` and ``-`` is quoted: ``metadata.annotations["example.test/owner"]``.
"""

import enum
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .values import Path, Properties, Value

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SEGMENT = re.compile(r'\.?(?P<key>[A-Za-z_][A-Za-z0-9_-]*)|\.?\["(?P<quoted>(?:[^"\\]|\\.)*)"\]|\[(?P<index>\d+)\]')


class Change(enum.Enum):
    """What happens to one property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


def format_path(path: Path) -> str:
    """Write a path as text."""
    text = ""
    for segment in path:
        if isinstance(segment, int):
            text += f"[{segment}]"
        elif _PLAIN_KEY.fullmatch(segment):
            text += f".{segment}" if text else segment
        else:
            escaped = segment.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def parse_path(text: str) -> Path:
    """Read a path from text; raises ValueError for what is none."""
    path: list[str | int] = []
    position = 0
    while position < len(text):
        match = _SEGMENT.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} is not a property path (at column {position + 1})")
        if match["index"] is not None:
            path.append(int(match["index"]))
        elif match["quoted"] is not None:
            path.append(re.sub(r"\\(.)", r"\1", match["quoted"], flags=re.DOTALL))
        else:
            path.append(match["key"])
        position = match.end()
    return tuple(path)


def compare(old: Value, new: Value, at: Path = ()) -> Iterator[tuple[Path, Change]]:
    """Yield every leaf which differs, and the whole of a value which is only on one side.

    Maps are compared by key and lists by position; ``None`` counts as absent; a number equals itself whether written
    ``1`` or ``1.0``, and never equals a boolean.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _member(old.get(key), new.get(key), (*at, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _member(
                old[index] if index < len(old) else None, new[index] if index < len(new) else None, (*at, index)
            )
    elif isinstance(old, bool) is not isinstance(new, bool) or old != new:
        yield at, Change.UPDATE


def _member(old: Value, new: Value, at: Path) -> Iterator[tuple[Path, Change]]:
    if old is None and new is None:
        return
    if old is None:
        yield at, Change.ADD
    elif new is None:
        yield at, Change.DELETE
    else:
        yield from compare(old, new, at)


@dataclass(frozen=True)
class Diff:
    """What an update would change: each differing path, which of them need a new resource, and in which order."""

    detailed: Mapping[str, Change] = field(default_factory=dict)
    replaces: Sequence[str] = ()
    delete_before_replace: bool = False

    @classmethod
    def between(
        cls,
        old: Properties,
        new: Properties,
        *,
        replace_on: Iterable[str] = (),
        ignore: Iterable[str] = (),
        delete_before_replace: bool = True,
    ) -> "Diff":
        """Compare two sets of inputs.

        ``replace_on`` and ``ignore`` are property paths; each stands for itself and everything below it.
        ``delete_before_replace`` is for objects whose name must be free before the new one can take it.
        """
        replacing = [parse_path(path) for path in replace_on]
        ignored = [parse_path(path) for path in ignore]
        changes = [(path, change) for path, change in compare(old, new) if not below(path, ignored)]
        replaces = [format_path(path) for path, _ in changes if below(path, replacing) or above(path, replacing)]
        return cls(
            detailed={format_path(path): change for path, change in changes},
            replaces=replaces,
            delete_before_replace=delete_before_replace and bool(replaces),
        )


def below(path: Path, others: Iterable[Path]) -> bool:
    """Whether the path is one of these or lies below one."""
    return any(path[: len(other)] == other for other in others)


def above(path: Path, others: Iterable[Path]) -> bool:
    """Whether one of these lies below the path: a whole map was added or removed with it."""
    return any(other[: len(path)] == path for other in others)
