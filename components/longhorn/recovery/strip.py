"""A volume as one line: which layer's data a reader sees in each part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .volume import Volume

WIDTH = 64
HOLE = "."
_MARKS = "0123456789abcdefghijklmnopqrstuvwxyz"
_OLDER = "+"


@dataclass(frozen=True)
class Strip:
    """`cells` has one character per part: the layer that owns most of what is there, `.` for nothing.

    0 is the newest layer; layers beyond the 36th share `+`. `wins` are bytes per layer, newest first.
    """

    cells: str
    layers: tuple[str, ...]
    wins: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"cells": self.cells, "wins": dict(zip(self.layers, self.wins))}

    def legend(self) -> list[tuple[str, str, int]]:
        """Return the character, the name and the bytes of each layer that is seen."""
        return [(mark_of(index), name, won) for index, (name, won) in enumerate(zip(self.layers, self.wins)) if won]


def mark_of(layer: int) -> str:
    """Return the character of a layer, counted from the newest."""
    return _MARKS[layer] if layer < len(_MARKS) else _OLDER


def draw(volume: Volume, names: Sequence[str], width: int = WIDTH) -> Strip:
    """Draw a volume. Raises OSError."""
    cells: list[Counter[int]] = [Counter() for _ in range(width)]
    wins = [0] * len(names)
    for segment in volume.segments():
        owner = segment.owners[0]
        wins[owner] += segment.length
        at = segment.start
        while at < segment.end:
            cell = min(at * width // volume.size, width - 1)
            until = min(segment.end, max(-(-(cell + 1) * volume.size // width), at + 1))
            cells[cell][owner] += until - at
            at = until
    shown = "".join(mark_of(cell.most_common(1)[0][0]) if cell else HOLE for cell in cells)
    return Strip(shown, tuple(names), tuple(wins))
