"""Who wins: the union of the layers' extents, the newest layer first (ODF-008, GLK-007, MRG-018).

The work grows with the number of extents, never with the size of the volume, and one extent per layer is in memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .extents import Range


class Segment(NamedTuple):
    """A range in bytes and the layers that own it, newest first; the first one wins. Indices count from the newest."""

    start: int
    end: int
    owners: tuple[int, ...]

    @property
    def length(self) -> int:
        """Bytes."""
        return self.end - self.start


def segments(layers: Sequence[Iterable[Range]], limit: int, *, all_owners: bool = False) -> Iterator[Segment]:
    """Return what the layers (newest first, each ascending) own below `limit`, ascending and without overlap.

    With `all_owners` each segment names every owner and not only the winner, for those who look below a winner.
    """
    pieces = _pieces([_below(ranges, limit) for ranges in layers], all_owners=all_owners)
    current = next(pieces, None)
    if current is None:
        return
    for piece in pieces:
        if piece.start == current.end and piece.owners == current.owners:
            current = Segment(current.start, piece.end, current.owners)
        else:
            yield current
            current = piece
    yield current


def _pieces(layers: Sequence[Iterator[Range]], *, all_owners: bool) -> Iterator[Segment]:
    waiting: list[tuple[int, int, int]] = []  # start, layer, end: the next extent of each layer
    active: list[tuple[int, int]] = []  # layer, end: the extents at the position, and some that have ended

    def advance(layer: int) -> None:
        following = next(layers[layer], None)
        if following:
            heapq.heappush(waiting, (following[0], layer, following[1]))

    for layer in range(len(layers)):
        advance(layer)
    position = 0
    while waiting or active:
        while active and active[0][1] <= position:
            heapq.heappop(active)
        if not active and waiting:
            position = max(position, waiting[0][0])
        while waiting and waiting[0][0] <= position:
            _, layer, end = heapq.heappop(waiting)
            heapq.heappush(active, (layer, end))
            advance(layer)
        if not active or active[0][1] <= position:
            continue
        if all_owners:
            active = [entry for entry in active if entry[1] > position]
            heapq.heapify(active)
            owners = tuple(sorted(layer for layer, _ in active))
            end = min(end for _, end in active)
        else:
            owners, end = (active[0][0],), active[0][1]
        if waiting:
            end = min(end, waiting[0][0])
        yield Segment(position, end, owners)
        position = end


def _below(ranges: Iterable[Range], limit: int) -> Iterator[Range]:
    for start, end in ranges:
        if start >= limit:
            return
        if end > start:
            yield start, min(end, limit)
