"""Small files written so that a crash leaves the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path

UNFINISHED = ".partial"
"""How the name of an image ends while it is written."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by a complete new one. Raises OSError."""
    temporary = path.with_name(f"{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring names that were made, moved or removed to the disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
