"""Reads files and targets in ascending pieces, each announced to the kernel some mebibytes before it is needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol, TypeVar

from .digest import data_runs
from .errors import CancelledError
from .extents import LayerFile, Range
from .hashing import Hasher
from .observer import Observer, Progress
from .volume import chunks

_Of = TypeVar("_Of")
AHEAD_BYTES = 32 << 20
"""So much is being read before it is needed; it is the kernel's memory, and no copy."""


class Readable(Protocol):
    """What can be read: a target, or an image."""

    def expect(self, offset: int, length: int) -> None:
        """Begin to read."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Read. Raises OSError."""
        ...


def read_back(file: Readable, ranges: Iterator[Range], until: int, observer: Observer) -> Iterator[tuple[int, bytes]]:
    """Read ranges that end below `until`. Raises OSError, CancelledError."""
    pieces = ((file, begin, end) for begin, end in chunks(ranges))
    for _, begin, end in ahead(pieces, lambda f, b, e: f.expect(b, e - b)):
        if observer.cancelled():
            raise CancelledError("cancelled", f"stopped while reading back, at {begin}")
        yield begin, file.read(begin, end - begin)
        observer.progress(Progress("read back", end, until, end))


def ahead(
    pieces: Iterator[tuple[_Of, int, int]], expect: Callable[[_Of, int, int], None]
) -> Iterator[tuple[_Of, int, int]]:
    """Pass pieces (of something, begin, end) on, and announce each some mebibytes before."""
    waiting: deque[tuple[_Of, int, int]] = deque()
    distance = 0
    for piece in pieces:
        expect(*piece)
        waiting.append(piece)
        distance += piece[2] - piece[1]
        while distance > AHEAD_BYTES:
            first = waiting.popleft()
            distance -= first[2] - first[1]
            yield first
    yield from waiting


def digest_of_file(path: Path, observer: Observer | None = None) -> str:
    """Return the content digest of an image. Raises OSError, CancelledError."""
    with closing(LayerFile(path)) as file, closing(Hasher()) as hasher:
        for offset, content in read_back(file, file.ranges(), file.size, observer or Observer()):
            hasher.add(offset, content, data_runs(content))
        return hasher.finish(file.size)[0]
