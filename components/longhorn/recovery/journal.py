"""How far a merge has come, on disk before it is relied on: lines of JSON beside the image that is being written.

The first line says what is merged, from which files with which extents, and how. Each further line says that everything
below a position has reached the disk, and the digest of it. A run goes on only where both still hold.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import RefusedError
from .files import sync_folder
from .manifest import Unreadable

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Checkpoint:
    """Everything below `position` (bytes) is on disk and has this content digest."""

    position: int
    digest: str
    unreadable: tuple[Unreadable, ...] = ()
    """What below it could not be read and was replaced by zeros."""


class Journal:
    """The journal of one image, locked while it is open: two merges never write to one image."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if fcntl is not None:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(self._fd)
                raise RefusedError("merge-running", f"another merge is writing beside {path}") from error

    def last(self, identity: dict[str, Any]) -> Checkpoint | None:
        """Return the newest checkpoint of a merge of the same; None if there is none or it was another merge."""
        lines = os.pread(self._fd, os.fstat(self._fd).st_size, 0).splitlines()
        entries = [_entry(line) for line in lines if line]
        if not entries or entries[0] != identity:
            return None
        for entry in reversed(entries[1:]):
            checkpoint = _checkpoint(entry)
            if checkpoint:
                return checkpoint
        return Checkpoint(0, "")

    def begin(self, identity: dict[str, Any]) -> None:
        """Start anew. Raises OSError."""
        os.ftruncate(self._fd, 0)
        self._append(identity)
        sync_folder(self.path.parent)

    def reached(self, checkpoint: Checkpoint) -> None:
        """Note a checkpoint. Raises OSError."""
        unreadable = [dict(vars(piece)) for piece in checkpoint.unreadable]
        self._append({"position": checkpoint.position, "digest": checkpoint.digest, "unreadable": unreadable})

    def close(self) -> None:
        """Close and unlock it."""
        os.close(self._fd)

    def remove(self) -> None:
        """Remove it, once the image is complete. Raises OSError."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)

    def _append(self, entry: dict[str, Any]) -> None:
        # The line before may have been cut off by a crash: a newline first keeps it from spoiling this one.
        os.write(self._fd, b"\n" + json.dumps(entry, sort_keys=True).encode() + b"\n")
        os.fsync(self._fd)


def _checkpoint(entry: dict[str, Any]) -> Checkpoint | None:
    try:
        unreadable = tuple(Unreadable(**piece) for piece in entry["unreadable"])
        return Checkpoint(int(entry["position"]), str(entry["digest"]), unreadable)
    except (KeyError, TypeError, ValueError):
        return None


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
