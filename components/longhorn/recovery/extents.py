"""Which ranges of a layer exist: the file system's extent map decides, not the content (GLK-007, MRG-011, MRG-013).

FIEMAP is asked first, because it also reports preallocated ranges, which the engine takes for written zeros (GLK-008).
Where the file system does not offer it (tmpfs, NFS), SEEK_DATA and SEEK_HOLE answer.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from .disk import fill, past_the_cache
from .errors import DamagedError, RecoveryError
from .metadata import BLOCK

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]

_FS_IOC_FIEMAP = 0xC020660B
_FIEMAP_FLAG_SYNC = 1
_EXTENT_LAST = 1
_HEADER = struct.Struct("=QQLLLL")
_EXTENT = struct.Struct("=QQQQQLLLL")
_BATCH = 512
"""Extents per question."""
_NOT_OFFERED = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EBADR, errno.EPERM, errno.EACCES}
_SLACK = 64 * BLOCK
"""Metadata blocks that may be counted to a file beyond its data, in bytes."""

Range = tuple[int, int]
"""Start and end in bytes; the end is the first byte that does not belong to it."""


class LayerSource(Protocol):
    """What a merge needs of a layer: a file here, anything in tests (MRG-023)."""

    @property
    def size(self) -> int:
        """The length in bytes."""
        ...

    def extents(self) -> Iterator[Range]:
        """Return the ranges that the layer owns, ascending, in whole blocks."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes. Raises OSError."""
        ...

    def fill(self, offset: int, buffer: memoryview) -> None:
        """Fill whole blocks with what lies at `offset`, and with zeros beyond the end. Raises OSError."""
        ...


class LayerFile:
    """A layer's file, opened for reading only, without following links and without touching its access time.

    With `sync` the extents include what is still on its way to the disk.
    """

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        self.path = path
        self._flags = _FIEMAP_FLAG_SYNC if sync else 0
        flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK
        try:
            self._fd = os.open(path, flags | getattr(os, "O_NOATIME", 0))
        except PermissionError:
            # Only the owner may leave the access time alone.
            self._fd = os.open(path, flags)
        self.status = os.fstat(self._fd)
        if not stat.S_ISREG(self.status.st_mode):
            self.close()
            raise DamagedError("layer-not-a-file", f"{path} is not a regular file")
        self.method = self._find_method()

    @property
    def size(self) -> int:
        """The length in bytes when it was opened."""
        return self.status.st_size

    @property
    def tells_holes(self) -> bool:
        """Whether the file system says where the holes are: its answer must agree with the blocks it counts."""
        if self.method == "none":
            return False
        if self.status.st_blocks * 512 + _SLACK >= self.size:
            return True
        # It has holes, so at least one must be reported.
        return next(self.extents(), None) != (0, _up(self.size))

    def extents(self) -> Iterator[Range]:
        """Return the ranges that exist, ascending, rounded to whole blocks and joined. Raises OSError."""
        if self.method == "whole":
            return _joined(iter([(0, self.size)]))
        return self._named(_joined(self._fiemap() if self.method == "fiemap" else self._seek()))

    def ranges(self) -> Iterator[Range]:
        """Return the extents, or the whole file where the file system does not tell."""
        return self.extents() if self.tells_holes else iter([(0, self.size)])

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes. Raises OSError, also when the file ends before."""
        content = os.pread(self._fd, length, offset)
        while len(content) < length:
            more = os.pread(self._fd, length - len(content), offset + len(content))
            if not more:
                raise OSError(errno.EIO, f"ends at {offset + len(content)}, before {offset + length}")
            content += more
        return content

    def fill(self, offset: int, buffer: memoryview) -> None:
        """Fill whole blocks, with zeros beyond the end. Raises OSError, also when the file is shorter than it was."""
        fill(self._fd, offset, buffer, self.size)

    def past_the_cache(self) -> None:
        """Fill from the disk from now on; the memory that is filled begins with a page."""
        past_the_cache(self._fd)

    def changed(self) -> bool:
        """Whether the file is another than when it was opened (LHR-046)."""
        now = os.fstat(self._fd)
        return (now.st_size, now.st_mtime_ns, now.st_blocks) != (
            self.status.st_size,
            self.status.st_mtime_ns,
            self.status.st_blocks,
        )

    def close(self) -> None:
        """Close the file; twice does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _named(self, ranges: Iterator[Range]) -> Iterator[Range]:
        """Say in an error whose extents these are."""
        try:
            yield from ranges
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _find_method(self) -> str:
        if fcntl is not None:
            try:
                self._ask(0, 0)
            except OSError as error:
                if error.errno not in _NOT_OFFERED:
                    raise
            else:
                return "fiemap"
        if not hasattr(os, "SEEK_DATA"):
            return "none"
        try:
            os.lseek(self._fd, 0, os.SEEK_DATA)
        except OSError as error:
            # ENXIO: there is no data at all, which is an answer.
            return "seek" if error.errno == errno.ENXIO else "none"
        return "seek"

    def _ask(self, start: int, count: int) -> list[tuple[int, int, int]]:
        """Return up to `count` extents from `start` on: logical offset, length, flags."""
        buffer = bytearray(_HEADER.size + count * _EXTENT.size)
        _HEADER.pack_into(buffer, 0, start, max(self.size - start, 1), self._flags, 0, count, 0)
        fcntl.ioctl(self._fd, _FS_IOC_FIEMAP, buffer)
        mapped = min(_HEADER.unpack_from(buffer)[3], count)
        found = (_EXTENT.unpack_from(buffer, _HEADER.size + index * _EXTENT.size) for index in range(mapped))
        return [(logical, length, flags) for logical, _, length, _, _, flags, *_ in found]

    def _fiemap(self) -> Iterator[Range]:
        start, last = 0, False
        while not last and start < self.size:
            answer = self._ask(start, _BATCH)
            for logical, length, flags in answer:
                yield logical, min(logical + length, self.size)
                last = bool(flags & _EXTENT_LAST)
                start = logical + length
            last = last or not answer

    def _seek(self) -> Iterator[Range]:
        if self.method == "none":
            raise RecoveryError("holes-unknown", f"{self.path}: the file system does not tell holes from data")
        end = 0
        while end < self.size:
            try:
                start = os.lseek(self._fd, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            end = min(os.lseek(self._fd, start, os.SEEK_HOLE), self.size)
            yield start, end


def _joined(ranges: Iterator[Range]) -> Iterator[Range]:
    """Round to whole blocks and join what touches."""
    first, last = 0, 0
    for start, end in ranges:
        down, up = start - start % BLOCK, _up(end)
        if down <= last:
            last = max(last, up)
            continue
        if last > first:
            yield first, last
        first, last = down, up
    if last > first:
        yield first, last


def _up(offset: int) -> int:
    return -(-offset // BLOCK) * BLOCK
