"""The volume that a chain of layers makes, opened for reading: in one pass to merge it, anywhere to look into it."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from enum import Enum

from .errors import RefusedError
from .extents import LayerFile, LayerSource, Range
from .metadata import BLOCK
from .replica import Chain
from .union import Segment, segments

CHUNK = 1 << 20
"""At most this many bytes are read at once."""
_ZERO = bytes(BLOCK)


class Mode(str, Enum):
    """What makes a block of a layer present."""

    EXTENTS = "extents"
    """The extent map, as the engine sees it (MRG-011)."""
    ZERO_AS_HOLE = "zero-as-hole"
    """Not being zero: for copies that lost their holes, and only when asked for (MRG-012)."""


class ReadFailedError(OSError):
    """A layer could not be read there. `layer` counts from the newest; `offset` and `length` are bytes."""

    def __init__(self, cause: OSError, layer: int, offset: int, length: int) -> None:
        super().__init__(cause.errno, cause.strerror)
        self.layer = layer
        self.offset = offset
        self.length = length


class Volume:
    """Layers, newest first, read as one volume of `size` bytes. Close it when done."""

    def __init__(self, sources: Sequence[LayerSource], size: int, mode: Mode = Mode.EXTENTS) -> None:
        self.sources = tuple(sources)
        self.size = size
        self.mode = mode
        self._index: tuple[list[int], list[Segment]] | None = None

    def segments(self) -> Iterator[Segment]:
        """Return what the layers own, ascending; in `zero-as-hole` each segment names all its owners."""
        everyone = self.mode is Mode.ZERO_AS_HOLE
        return segments([source.extents() for source in self.sources], self.size, all_owners=everyone)

    def fill(self, owners: Sequence[int], start: int, buffer: memoryview) -> None:
        """Fill whole blocks with what these owners of a segment say there. Raises ReadFailedError."""
        self._fill(owners[0], start, buffer)
        if self.mode is Mode.EXTENTS:
            return
        for owner in owners[1:]:
            missing = [at for at in range(0, len(buffer), BLOCK) if bytes(buffer[at : at + BLOCK]) == _ZERO]
            if not missing:
                break
            below = memoryview(bytearray(missing[-1] + BLOCK - missing[0]))
            self._fill(owner, start + missing[0], below)
            for at in missing:
                buffer[at : at + BLOCK] = below[at - missing[0] : at - missing[0] + BLOCK]

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at `offset`, fewer only at the end of the volume. Raises ReadFailedError."""
        starts, index = self._indexed()
        end = min(offset + length, self.size)
        pieces, position = [], offset
        at = max(bisect.bisect_right(starts, offset) - 1, 0)
        while position < end:
            segment = index[at] if at < len(index) else Segment(self.size, self.size, ())
            if segment.end <= position:
                at += 1
            elif segment.start > position:
                until = min(segment.start, end)
                pieces.append(bytes(until - position))
                position = until
            else:
                until = min(segment.end, end)
                first = position - position % BLOCK
                blocks = bytearray(-(-until // BLOCK) * BLOCK - first)
                self.fill(segment.owners, first, memoryview(blocks))
                pieces.append(bytes(blocks[position - first : until - first]))
                position = until
        return b"".join(pieces)

    def owner(self, offset: int) -> int | None:
        """Return which layer has the extent that wins at `offset`, or None in a hole."""
        starts, index = self._indexed()
        at = bisect.bisect_right(starts, offset) - 1
        return index[at].owners[0] if at >= 0 and offset < index[at].end else None

    def close(self) -> None:
        """Close the layers' files."""
        for source in self.sources:
            if isinstance(source, LayerFile):
                source.close()

    def _indexed(self) -> tuple[list[int], list[Segment]]:
        if self._index is None:
            index = list(self.segments())
            self._index = [segment.start for segment in index], index
        return self._index

    def _fill(self, owner: int, start: int, buffer: memoryview) -> None:
        # A layer whose file system has smaller blocks may end within one of ours: the rest is zeros.
        try:
            self.sources[owner].fill(start, buffer)
        except OSError as error:
            raise ReadFailedError(error, owner, start, len(buffer)) from error


def open_volume(chain: Chain, mode: Mode = Mode.EXTENTS) -> Volume:
    """Open the layers of a chain. Raises RefusedError in `extents` where a file system does not tell holes, OSError."""
    with ExitStack() as opened:
        files = [opened.enter_context(closing(LayerFile(layer.path))) for layer in chain.layers]
        for file in files:
            if file.tells_holes:
                continue
            if mode is Mode.EXTENTS:
                raise RefusedError("holes-unknown", f"{file.path}: the file system does not tell holes from data")
            file.method = "whole"
        opened.pop_all()
    return Volume(files, chain.volume_size, mode)


def chunks(ranges: Iterator[Range], limit: int = CHUNK) -> Iterator[Range]:
    """Cut ranges into pieces of at most `limit` bytes."""
    for start, end in ranges:
        for at in range(start, end, limit):
            yield at, min(at + limit, end)
