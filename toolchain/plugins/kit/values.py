"""Property values: plain Python on the inside, protobuf structs with Pulumi's type signatures on the wire.

A handler sees ``None``, ``bool``, ``int``, ``float``, ``str``, ``list``, ``dict``, :data:`UNKNOWN` (a value which a
preview cannot know), :class:`Asset` and :class:`Archive`. Secrets arrive unwrapped; where they were is kept aside as a
set of paths and put back on the way out, so that no handler can forget it.
"""

import enum
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from google.protobuf import struct_pb2


class ForeignValueError(ValueError):
    """A value on the wire is of a type that no handler sees; the message names the type, never the value."""


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


_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key which marks a wire object as something else than a plain map; the values below say what."""
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 a type signature of Pulumi's wire format
_ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
_ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
_UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        _UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
_EXACT_INTEGERS: Final = 2**53


def decode(struct: struct_pb2.Struct) -> tuple[Properties, Paths]:
    """Read properties from the wire: the plain values, and the paths at which they were secret.

    A secret anywhere in a list makes the whole list secret, because a backend may reorder it. ``null`` members of maps
    are dropped: they mean absent. Whole numbers become ``int``. Raises :class:`ForeignValueError`.
    """
    secrets: set[Path] = set()
    return dict(_members(struct, (), secrets)), frozenset(secrets)


def encode(properties: Mapping[str, Value], secrets: Paths = frozenset()) -> struct_pb2.Struct:
    """Write properties for the wire, with what lies at these paths marked secret.

    A path which leads nowhere is none; one below an unknown value makes that secret.
    """
    struct = struct_pb2.Struct()
    for key, member in properties.items():
        _encode(member, (key,), secrets, struct.fields[key])
    return struct


def _members(struct: struct_pb2.Struct, at: Path, secrets: set[Path]) -> Iterator[tuple[str, Value]]:
    for key, member in struct.fields.items():
        value = _decode(member, (*at, key), secrets)
        if value is not None:
            yield key, value


def _decode(wire: struct_pb2.Value, at: Path, secrets: set[Path]) -> Value:
    kind = wire.WhichOneof("kind")
    if kind == "struct_value":
        return _decode_object(wire.struct_value, at, secrets)
    if kind == "list_value":
        return [_decode(item, (*at, index), secrets) for index, item in enumerate(wire.list_value.values)]
    if kind == "string_value":
        return UNKNOWN if wire.string_value in _UNKNOWNS else wire.string_value
    if kind == "number_value":
        number = wire.number_value
        return int(number) if number.is_integer() and abs(number) <= _EXACT_INTEGERS else number
    return wire.bool_value if kind == "bool_value" else None


def _decode_object(struct: struct_pb2.Struct, at: Path, secrets: set[Path]) -> Value:
    if _SIGNATURE not in struct.fields:
        return dict(_members(struct, at, secrets))
    signature = struct.fields[_SIGNATURE].string_value
    if signature == _SECRET:
        secrets.add(_outside_lists(at))
        return _decode(struct.fields["value"], at, secrets)
    parts = {key: member for key, member in _members(struct, at, secrets) if key != _SIGNATURE}
    if signature == _ASSET:
        return Asset(**{key: parts.get(key) for key in ("text", "path", "uri")}, hash=parts.get("hash", ""))
    if signature == _ARCHIVE:
        return Archive(**{key: parts.get(key) for key in ("assets", "path", "uri")}, hash=parts.get("hash", ""))
    raise ForeignValueError(f"a value of a type which this plugin does not accept (signature {signature})")


def _outside_lists(path: Path) -> Path:
    """Cut the path before its first list index."""
    return tuple(itertools.takewhile(lambda segment: isinstance(segment, str), path))


def _encode(value: Value, at: Path, secrets: Paths, wire: struct_pb2.Value) -> None:
    if at in secrets or (value is UNKNOWN and any(path[: len(at)] == at for path in secrets)):
        wire.struct_value.fields[_SIGNATURE].string_value = _SECRET
        _encode(value, at, frozenset(), wire.struct_value.fields["value"])
    elif isinstance(value, Mapping):
        wire.struct_value.SetInParent()
        for key, member in value.items():
            _encode(member, (*at, key), secrets, wire.struct_value.fields[key])
    elif isinstance(value, list | tuple):
        wire.list_value.SetInParent()
        for index, item in enumerate(value):
            _encode(item, (*at, index), secrets, wire.list_value.values.add())
    elif isinstance(value, Asset | Archive):
        _encode_file(value, at, secrets, wire)
    else:
        _encode_scalar(value, wire)


def _encode_file(value: Asset | Archive, at: Path, secrets: Paths, wire: struct_pb2.Value) -> None:
    wire.struct_value.fields[_SIGNATURE].string_value = _ASSET if isinstance(value, Asset) else _ARCHIVE
    for key, part in vars(value).items():
        if part is not None and (key, part) != ("hash", ""):
            _encode(part, (*at, key), secrets, wire.struct_value.fields[key])


def _encode_scalar(value: Value, wire: struct_pb2.Value) -> None:
    if value is None:
        wire.null_value = struct_pb2.NULL_VALUE
    elif value is UNKNOWN:
        wire.string_value = _UNKNOWN_STRING
    elif isinstance(value, bool):
        wire.bool_value = value
    elif isinstance(value, int | float):
        wire.number_value = value
    elif isinstance(value, str):
        wire.string_value = value
    else:
        raise TypeError(f"a {type(value).__name__} is not a property value")
