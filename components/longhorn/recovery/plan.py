"""What a merge will do, known before a byte is written: who wins how much, and from exactly which files."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .extents import LayerSource, Range
from .replica import Replica
from .union import segments
from .volume import Mode, Volume

_RANGE = struct.Struct("<QQ")


@dataclass(frozen=True)
class PlannedLayer:
    """One layer's part. `allocated` counts the bytes of its extents, `wins` those that no newer layer hides."""

    name: str
    size: int
    mtime_ns: int
    allocated: int
    wins: int
    extents_sha256: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dict(vars(self))


@dataclass(frozen=True)
class Plan:
    """The layers, newest first, and how many bytes are to be read."""

    volume_size: int
    mode: Mode
    layers: tuple[PlannedLayer, ...]
    total: int

    def identity(self) -> dict[str, Any]:
        """Return what decides the content: the order of the layers, their extents and times, and the mode."""
        return {
            "format": 1,
            "size": self.volume_size,
            "mode": self.mode.value,
            "layers": [[layer.name, layer.size, layer.mtime_ns, layer.extents_sha256] for layer in self.layers],
        }


def plan(replica: Replica, volume: Volume) -> Plan:
    """Read the extent maps once. Raises OSError."""
    layers = replica.chain.layers if replica.chain else ()
    maps = [_Map(source) for source in volume.sources]
    wins = [0] * len(maps)
    total = 0
    for segment in segments([map_.extents() for map_ in maps], volume.size):
        wins[segment.owners[0]] += segment.length
        total += segment.length
    planned = [
        PlannedLayer(layer.name, layer.size, layer.mtime_ns, map_.allocated, won, map_.digest.hexdigest())
        for layer, map_, won in zip(layers, maps, wins)
    ]
    return Plan(volume.size, volume.mode, tuple(planned), total)


class _Map:
    """Counts and digests extents while they pass."""

    def __init__(self, source: LayerSource) -> None:
        self._source = source
        self.allocated = 0
        self.digest = hashlib.sha256()

    def extents(self) -> Iterator[Range]:
        for start, end in self._source.extents():
            self.allocated += min(end, self._source.size) - start
            self.digest.update(_RANGE.pack(start, end))
            yield start, end
