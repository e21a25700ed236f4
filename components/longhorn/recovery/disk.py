"""Reads an open file from the disk itself where the system lets one, and not from what it remembers."""

from __future__ import annotations

import errno
import os

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]


def fill(fd: int, offset: int, buffer: memoryview, size: int) -> None:
    """Fill whole blocks from an open file of `size` bytes; beyond its end are zeros. Raises OSError."""
    there = max(min(len(buffer), size - offset), 0)
    done, refused = 0, False
    while done < there:
        try:
            count = os.preadv(fd, [buffer[done:]], offset + done)
        except OSError as error:
            if error.errno != errno.EINVAL or refused:
                raise
            # Some file systems grant reading past the cache and cannot do it.
            refused = True
            _by_the_cache(fd)
            continue
        if not count:
            raise OSError(errno.EIO, f"ends at {offset + done}, before {offset + there}")
        done += count
    buffer[there:] = bytes(len(buffer) - there)


def past_the_cache(fd: int) -> None:
    """Have an open file read from the disk from now on, or at least without what is in the cache now."""
    if fcntl is not None and hasattr(os, "O_DIRECT"):
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _by_the_cache(fd: int) -> None:
    if fcntl is not None and hasattr(os, "O_DIRECT"):
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)
