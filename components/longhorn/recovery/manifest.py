"""The manifest beside an image: what it was made of and how, and the digest that proves it complete (MRG-022)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DamagedError
from .files import write_atomically
from .findings import Finding
from .plan import Plan
from .replica import Replica

TOOL = "longhorn-recover"
VERSION = "1.0"
_DEFINITION = "SHA-256 over (offset as 8 bytes little-endian, 4096 bytes) of each block that is not all zero, ascending"


@dataclass(frozen=True)
class Unreadable:
    """Bytes of a layer that could not be read and are zeros in the image (MRG-026)."""

    layer: str
    offset: int
    length: int
    reason: str


@dataclass(frozen=True)
class Content:
    """The content that was written. `data_bytes` counts blocks that are not all zero."""

    sha256: str
    data_bytes: int
    stream_sha256: str | None = None


def manifest_path(image: Path) -> Path:
    """Return where the manifest of an image lies."""
    return image.with_name(f"{image.name}.manifest.json")


def describe(
    replica: Replica,
    plan: Plan,
    content: Content,
    *,
    identity: dict[str, Any],
    until: str,
    verified: bool,
    unreadable: Iterable[Unreadable],
    findings: Iterable[Finding],
    started: dt.datetime,
    finished: dt.datetime,
) -> dict[str, Any]:
    """Return the manifest."""
    return {
        "tool": TOOL,
        "version": VERSION,
        "source": {"path": str(replica.path), "name": replica.name, "volume": replica.volume, "node": replica.node},
        "identity": identity,
        "size": plan.volume_size,
        "mode": plan.mode.value,
        "until": until,
        "layers": [layer.as_dict() for layer in plan.layers],
        "content": {
            "sha256": content.sha256,
            "definition": _DEFINITION,
            "data_bytes": content.data_bytes,
            "stream_sha256": content.stream_sha256,
        },
        "verified": verified,
        "unreadable": [dict(vars(piece)) for piece in unreadable],
        "findings": [finding.as_dict() for finding in findings],
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
    }


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Write it to the disk, whole or not at all. Raises OSError."""
    write_atomically(path, (json.dumps(manifest, indent=2) + "\n").encode())


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest, or None if there is none. Raises DamagedError when it is not one, OSError."""
    try:
        manifest = json.loads(path.read_bytes())
        proof = manifest["content"]["sha256"], manifest["identity"], manifest["size"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("manifest-invalid", f"{path} is no manifest of an image: {error!r}") from error
    if not isinstance(proof[0], str) or not isinstance(proof[2], int):
        raise DamagedError("manifest-invalid", f"{path} is no manifest of an image: wrong types")
    return dict(manifest)
