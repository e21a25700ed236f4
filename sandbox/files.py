"""Files that survive a power cut and never show a secret: temporary file, mode, fsync, rename."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from sandbox.errors import SandboxError

PRIVATE = 0o600
PRIVATE_DIRECTORY = 0o700
TRAVERSABLE_DIRECTORY = 0o711


def write_private(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Replace `path` atomically and durably; the content is never readable to others on the way.

    Raises `SandboxError` when the directory cannot be written (no space, no permission).
    """
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def make_directory(path: Path, *, mode: int = PRIVATE_DIRECTORY) -> Path:
    """Make a directory with exactly this mode, or set the mode of the one that exists."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def sync_directory(path: Path) -> None:
    """Make renames in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> SandboxError:
    return SandboxError(
        f"cannot write {path}: {error.strerror}; free some space or set FACTORY_STATE to a directory you may write to"
    )
