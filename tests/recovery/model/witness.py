"""What must not change in a source: bytes, holes, times and modes of every file."""

import hashlib
import os
from pathlib import Path


def holes(path: Path) -> list[tuple[int, int]]:
    """The data ranges of a file, asked in the plainest way."""
    found, end, size = [], 0, path.stat().st_size
    with path.open("rb") as file:
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            found.append((start, end))
    return found


def witness(folder: Path) -> dict[str, object]:
    """Everything that a read-only visitor leaves as it was."""
    seen: dict[str, object] = {".": folder.stat().st_mtime_ns}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        extents = holes(path) if path.is_file() else []
        seen[path.name] = (status.st_mtime_ns, status.st_mode, status.st_ino, status.st_size, content, extents)
    return seen
