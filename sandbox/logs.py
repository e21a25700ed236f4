"""Logs that cannot fill the disk: at the cap the file becomes `.1`, and the one before that is dropped."""

from __future__ import annotations

import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

from sandbox.files import PRIVATE

CAP_BYTES = 5 * 1024 * 1024


class CappedLog:
    """An append-only file of at most `cap` bytes, with one predecessor."""

    def __init__(self, path: Path, cap: int = CAP_BYTES) -> None:
        self._path = path
        self._cap = cap
        self._stream = self._open()

    def write(self, chunk: bytes) -> None:
        """Append; what the disk refuses is dropped, because a full disk must not stop the backends' output."""
        with suppress(OSError):
            if self._stream.tell() + len(chunk) > self._cap and self._stream.tell() > 0:
                self._path.replace(predecessor(self._path))
                full, self._stream = self._stream, self._open()
                full.close()
            self._stream.write(chunk)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _open(self) -> FileIO:
        # Without a buffer: it would keep what the disk refused, and be refused again when the file is closed.
        return os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE), "ab", buffering=0)


def predecessor(path: Path) -> Path:
    """Return where the full log goes."""
    return path.with_name(path.name + ".1")


def tail(path: Path, lines: int = 8) -> str:
    """Return the last lines of a log, indented for an error message; empty when there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 16_384))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "".join(f"\n    {line[:400]}" for line in text.splitlines()[-lines:])
