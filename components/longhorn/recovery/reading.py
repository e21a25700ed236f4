"""Reads what is wanted in order, several loads at once in threads: the kernel's own readahead stops at every hole.

Memory is bounded. A load is ready to be written and to be hashed: neither needs a copy of its own.
"""

from __future__ import annotations

import itertools
import mmap
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from .digest import FRAME, Runs, data_runs, pack
from .metadata import BLOCK
from .union import Segment

LOAD_BYTES = 1 << 20
"""So much is read, hashed and written at a time."""
_LOADS = 8
"""Loads in memory: those that are read ahead, and the one that is worked on."""
_READERS = 4


class Piece(NamedTuple):
    """A range with its content, and where that is not zero."""

    segment: Segment
    content: memoryview
    runs: Runs


class Load(NamedTuple):
    """Pieces, ascending, and their blocks as they are hashed."""

    pieces: list[Piece]
    frames: memoryview


class _Memory:
    """What holds a load: whole pages, as reading past the cache needs them, and room for its frames."""

    def __init__(self) -> None:
        self.content = memoryview(mmap.mmap(-1, LOAD_BYTES))
        self.frames = memoryview(bytearray(LOAD_BYTES // BLOCK * FRAME))


def read_ahead(wanted: Iterable[Segment], fill: Callable[[Segment, memoryview], None]) -> Generator[Load, None, None]:
    """Fill segments in threads, and pass them on in loads; a load's memory is used anew once the next is asked for.

    What is to be hashed is put together there too, beside the hashing. Raises what `fill` raises, when it is that
    load's turn.
    """
    memory = itertools.cycle([_Memory() for _ in range(_LOADS)])
    reading: deque[Future[Load]] = deque()
    readers = ThreadPoolExecutor(_READERS)
    try:
        for segments in _grouped(wanted):
            reading.append(readers.submit(_load, segments, next(memory), fill))
            if len(reading) == _LOADS:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()
    finally:
        readers.shutdown(cancel_futures=True)


def _grouped(wanted: Iterable[Segment]) -> Iterator[list[Segment]]:
    group: list[Segment] = []
    room = LOAD_BYTES
    for segment in wanted:
        start = segment.start
        while start < segment.end:
            end = min(segment.end, start + room)
            group.append(Segment(start, end, segment.owners))
            room -= end - start
            start = end
            if not room:
                yield group
                group, room = [], LOAD_BYTES
    if group:
        yield group


def _load(segments: list[Segment], memory: _Memory, fill: Callable[[Segment, memoryview], None]) -> Load:
    pieces: list[Piece] = []
    used = packed = 0
    for segment in segments:
        content = memory.content[used : used + segment.length]
        fill(segment, content)
        runs = data_runs(content)
        packed += pack(memory.frames[packed:], segment.start, content, runs)
        pieces.append(Piece(segment, content, runs))
        used += segment.length
    return Load(pieces, memory.frames[:packed])
