"""Files that survive a power cut and never show a secret: temporary file, mode, fsync, rename."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.errors import SandboxError

PRIVATE = 0o600
PRIVATE_DIRECTORY = 0o700


def write_private(path: Path, content: bytes, *, mode: int = PRIVATE, durable: bool = True) -> None:
    """Replace `path` atomically and durably; the content is never readable to others on the way.

    What need not survive a power cut is written faster with `durable=False`.
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
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
        if durable:
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


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock; `waiting` is called once if somebody else has it.

    The kernel drops the lock with its holder, so nothing is left to clean up after a crash.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds a lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


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
