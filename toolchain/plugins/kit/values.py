"""Property values: plain Python on the inside, protobuf structs with Pulumi's type signatures on the wire.

A handler sees ``None``, ``bool``, ``int``, ``float``, ``str``, ``list``, ``dict``, :data:`UNKNOWN` (a value which a
preview cannot know), :class:`Asset` and :class:`Archive`. Secrets arrive unwrapped; where they were is kept aside as a
set of paths and put back on the way out, so that no handler can forget it.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias


class Unknown(enum.Enum):
    """The one-value type of :data:`UNKNOWN`."""

    UNKNOWN = enum.auto()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class Asset:
    """A file: its text, or the path or URI where it lies; ``hash`` is the SHA-256 of the content (hex)."""

    text: str | None = None
    path: str | None = None
    uri: str | None = None
    hash: str = ""


@dataclass(frozen=True)
class Archive:
    """Several files: by name, or a directory or packed file at a path or URI."""

    assets: Mapping[str, "Asset | Archive"] | None = None
    path: str | None = None
    uri: str | None = None
    hash: str = ""


Value: TypeAlias = Any
"""A property value. Not spelt out as a type: a handler gets it only after it was checked against the SDK's types."""
Properties: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]
Paths: TypeAlias = frozenset[Path]


def has_unknown(value: Value) -> bool:
    """Whether the value is unknown or has an unknown part."""
    if isinstance(value, Mapping):
        return any(map(has_unknown, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(map(has_unknown, value))
    return value is UNKNOWN
