"""Where an image is written to: a file with holes, a block device, or a stream."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from .disk import fill, past_the_cache
from .errors import BadInputError, RefusedError
from .extents import LayerFile, Range
from .readback import Fill

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]

_BLKZEROOUT = 0x127F
_ZEROS = bytes(1 << 20)
_LOOKED_AT = 1 << 20
"""Signatures of file systems, partition tables and LUKS lie within so many bytes at the start of a device."""


class Target(Protocol):
    """What a merge writes to: ascending pieces of data, everything else zero."""

    def clear(self) -> None:
        """Give up what an earlier run left. Raises OSError."""
        ...

    def write(self, offset: int, data: memoryview) -> None:
        """Write a piece. Raises OSError."""
        ...

    def sync(self) -> None:
        """Bring to the disk what was written. Raises OSError."""
        ...

    def finish(self, size: int) -> None:
        """Make everything zero up to `size` that was not written, and sync. Raises OSError."""
        ...

    def ranges(self, start: int, until: int) -> Iterator[Range]:
        """Return where there may be data in between. Raises OSError."""
        ...

    def written(self) -> AbstractContextManager[Fill]:
        """Open what was synced anew, to be read back from the disk. Raises OSError."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class _Opened:
    """What a file and a device do alike with the descriptor that they have opened."""

    path: Path
    _fd: int

    def sync(self) -> None:
        """Bring it to the disk."""
        os.fsync(self._fd)

    @contextmanager
    def written(self) -> Iterator[Fill]:
        """Open it anew: what is read back is what its name stands for."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        try:
            past_the_cache(fd)
            yield partial(fill, fd, size=os.lseek(fd, 0, os.SEEK_END))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)


class FileTarget(_Opened):
    """A sparse file. What lies at or beyond `keep` is cut off first; the rest is of an earlier run."""

    def __init__(self, path: Path, size: int, *, keep: int = 0) -> None:
        self.path = path
        self._size = size
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            self._cut(keep)
        except BaseException:
            self.close()
            raise

    def clear(self) -> None:
        """Cut everything off."""
        self._cut(0)

    def write(self, offset: int, data: memoryview) -> None:
        """Write a piece."""
        _write_at(self._fd, offset, data)

    def finish(self, size: int) -> None:  # noqa: ARG002 - the length was set before, holes are zeros
        """Bring it to the disk."""
        self.sync()

    def ranges(self, start: int, until: int) -> Iterator[Range]:
        """Return the extents; asking for them waits for nothing that is still being written."""
        with closing(LayerFile(self.path, sync=False)) as file:
            for begin, end in file.ranges():
                if begin < until and end > start:
                    yield max(begin, start), min(end, until)

    def _cut(self, keep: int) -> None:
        os.ftruncate(self._fd, keep)
        os.ftruncate(self._fd, self._size)


class DeviceTarget(_Opened):
    """A block device of exactly the volume's size, in use by nobody, empty unless its content is given up.

    Raises BadInputError, RefusedError and OSError, before anything is written.
    """

    def __init__(self, path: Path, size: int, *, give_up_content: bool) -> None:
        if not stat.S_ISBLK(path.stat().st_mode):
            raise BadInputError("not-a-device", f"{path} is no block device")
        try:
            # For a block device the kernel grants this only if nobody has mounted or claimed it.
            self._fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise RefusedError("device-in-use", f"{path} is mounted, or part of another device") from error
        try:
            self._check(path, size, give_up_content=give_up_content)
        except BaseException:
            self.close()
            raise
        self.path = path
        self._position = 0

    def _check(self, path: Path, size: int, *, give_up_content: bool) -> None:
        there = os.lseek(self._fd, 0, os.SEEK_END)
        if there != size:
            raise RefusedError("device-size", f"{path} has {there} bytes, and the volume {size}; they must be equal")
        start = os.pread(self._fd, min(_LOOKED_AT, size), 0)
        if start.strip(b"\0") and not give_up_content:
            raise RefusedError("device-not-empty", f"{path} holds something already; --overwrite gives that up")

    def clear(self) -> None:
        """Nothing: every byte is written."""

    def write(self, offset: int, data: memoryview) -> None:
        """Write a piece, and zeros before it."""
        self._zero(offset)
        _write_at(self._fd, offset, data)
        self._position = offset + len(data)

    def finish(self, size: int) -> None:
        """Zero the rest and sync."""
        self._zero(size)
        self.sync()

    def ranges(self, start: int, until: int) -> Iterator[Range]:
        """Return all of it: a device has no holes."""
        return iter([(start, until)])

    def _zero(self, until: int) -> None:
        if until <= self._position:
            return
        length = until - self._position
        try:
            fcntl.ioctl(self._fd, _BLKZEROOUT, struct.pack("=QQ", self._position, length))
        except OSError:
            for at in range(self._position, until, len(_ZEROS)):
                _write_at(self._fd, at, memoryview(_ZEROS)[: min(len(_ZEROS), until - at)])
        self._position = until


class StreamTarget:
    """A pipe: everything in order, zeros written out, nothing to read back."""

    def __init__(self, fd: int) -> None:
        if os.isatty(fd):
            raise BadInputError("terminal", "an image is not written to a terminal; redirect standard output")
        self._fd = fd
        self._position = 0

    def clear(self) -> None:
        """Nothing: a stream begins empty."""

    def write(self, offset: int, data: memoryview) -> None:
        """Write zeros up to the piece, and the piece."""
        self._zero(offset)
        self._all(data)

    def sync(self) -> None:
        """Nothing can be done for a pipe."""

    def finish(self, size: int) -> None:
        """Write the zeros that are left."""
        self._zero(size)

    def ranges(self, start: int, until: int) -> Iterator[Range]:
        """Refuse: it is gone."""
        raise OSError(errno.ESPIPE, f"a stream cannot be read back ({start} to {until})")

    def written(self) -> AbstractContextManager[Fill]:
        """Refuse: it is gone."""
        raise OSError(errno.ESPIPE, "a stream cannot be read back")

    def close(self) -> None:
        """Leave it open: it belongs to the caller."""

    def _zero(self, until: int) -> None:
        while self._position < until:
            self._all(memoryview(_ZEROS)[: min(len(_ZEROS), until - self._position)])

    def _all(self, data: memoryview) -> None:
        while data:
            written = os.write(self._fd, data)
            self._position += written
            data = data[written:]


def _write_at(fd: int, offset: int, data: memoryview) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        offset += written
        data = data[written:]
