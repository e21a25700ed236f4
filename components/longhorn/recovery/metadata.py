"""The two metadata files of a replica, read strictly: `volume.meta` and `<layer>.img.meta` (GLK-001, GLK-002)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

BLOCK = 4096
"""The engine's unit: who owns a block is decided per 4096 bytes (GLK-007)."""
MAXIMUM_LAYERS = 250
"""The longest chain the engine accepts (GLK-004)."""
VOLUME_META = "volume.meta"
REVISION_COUNTER = "revision.counter"
LARGEST_META = 1 << 20
"""No metadata file of the engine is near this size, in bytes."""
LARGEST_VOLUME = 1 << 60

HEAD_NAME = re.compile(r"volume-head-\d{3,}\.img", re.ASCII)
SNAPSHOT_NAME = re.compile(r"volume-snap-[A-Za-z0-9._-]{1,200}\.img", re.ASCII)
REPLICA_NAME = re.compile(r"(?P<volume>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)-(?P<suffix>[0-9a-f]{8})", re.ASCII)
"""`<volume>-<8 hex>`; everything else, like `….empty`, was renamed by somebody (LHR-032)."""
EXPANSION_PREFIX = "volume-snap-expand-"

_Value = TypeVar("_Value")


class MetadataError(ValueError):
    """A metadata file says nothing that can be used; the message names key, value and rule."""


@dataclass(frozen=True)
class VolumeMeta:
    """What `volume.meta` says. Sizes are in bytes."""

    size: int
    head: str
    parent: str = ""
    dirty: bool = False
    rebuilding: bool = False
    error: str = ""
    backing_file: str = ""
    encrypted: bool = False


@dataclass(frozen=True)
class LayerMeta:
    """What a layer's own file says. Its `Name` is not read: it goes stale when a head becomes a snapshot."""

    parent: str
    removed: bool = False
    user_created: bool = False
    created: str = ""


def is_layer_name(name: str) -> bool:
    """Tell whether a file name is one that the engine gives to a layer."""
    return bool(HEAD_NAME.fullmatch(name) or SNAPSHOT_NAME.fullmatch(name))


def parse_volume_meta(content: bytes) -> VolumeMeta:
    """Read `volume.meta`. Absent keys have the engine's zero value. Raises MetadataError."""
    document = _document(content)
    return VolumeMeta(
        size=_value(document, "Size", int, 0),
        head=_value(document, "Head", str, ""),
        parent=_value(document, "Parent", str, ""),
        dirty=_value(document, "Dirty", bool, default=False),
        rebuilding=_value(document, "Rebuilding", bool, default=False),
        error=_value(document, "Error", str, ""),
        backing_file=_value(document, "BackingFilePath", str, ""),
        encrypted=_value(document, "Encrypted", bool, default=False),
    )


def parse_layer_meta(content: bytes) -> LayerMeta:
    """Read `<layer>.img.meta`. Raises MetadataError."""
    document = _document(content)
    if "Parent" not in document:
        # Without it a file that lost its content would pass for the bottom of a chain.
        raise MetadataError("has no key Parent, which the engine always writes")
    return LayerMeta(
        parent=_value(document, "Parent", str, ""),
        removed=_value(document, "Removed", bool, default=False),
        user_created=_value(document, "UserCreated", bool, default=False),
        created=_value(document, "Created", str, ""),
    )


def parse_revision(content: bytes) -> int:
    """Read `revision.counter`: decimal digits padded with NULs (GLK-014). Raises MetadataError."""
    digits = content.rstrip(b"\0").strip()
    if not digits.isdigit() or len(digits) > len(str(LARGEST_VOLUME)):
        raise MetadataError(f"holds {digits[:20]!r} where a decimal number must stand")
    return int(digits)


def _document(content: bytes) -> dict[str, Any]:
    if not content.strip(b"\0 \t\r\n"):
        raise MetadataError("is empty" if not content else "holds blanks or NULs only")
    try:
        document = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"is not JSON: {str(error)[:120]}") from error
    if not isinstance(document, dict):
        raise MetadataError(f"holds {_shown(document)} where a JSON object must stand")
    return document


def _value(document: dict[str, Any], key: str, kind: type[_Value], default: _Value) -> _Value:
    value = document.get(key)
    if value is None:
        return default
    if type(value) is not kind:
        raise MetadataError(f"{key} is {_shown(value)}, and must be of type {kind.__name__}")
    return value


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - the length of a message's part
