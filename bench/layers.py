"""Replica directories of any size for the benchmark of merging, and a model that says what they must give."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

BLOCK = 4096
_POOL = 64 << 20
_SEED = 20310504


class Replica:
    """Random extents in a few layers; nothing of the library is used to make it or to say what it holds."""

    def __init__(self, volume: int, data: int, layers: int) -> None:
        self.blocks = volume // BLOCK
        self._pool = random.Random(_SEED).randbytes(_POOL)  # noqa: S311 - data, not a secret
        dice = random.Random(_SEED + layers)  # noqa: S311 - as above
        shares = [data // 2, *[data // 2 // max(layers - 1, 1)] * (layers - 1)] if layers > 1 else [data]
        # The root has long runs, as a file system that was filled once; what came later is scattered.
        sizes = [range(16, 1024), *[range(1, 128)] * (layers - 1)]
        self.layers = [sorted(self._scatter(dice, share, size)) for share, size in zip(shares, sizes, strict=True)]

    def store(self, folder: Path) -> Path:
        """Write the directory, on the disk and out of the cache."""
        folder.mkdir(parents=True)
        parent = ""
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            name = f"volume-head-{index:03d}.img" if last else f"volume-snap-{index}.img"
            with (folder / name).open("wb") as file:
                file.truncate(self.blocks * BLOCK)
                for first, count, pool in layer:
                    file.seek(first * BLOCK)
                    file.write(bytes(count * BLOCK) if pool < 0 else self._pool[pool : pool + count * BLOCK])
                file.flush()
                os.fsync(file.fileno())
            meta = {
                "Name": name,
                "Parent": parent,
                "Removed": False,
                "UserCreated": False,
                "Created": "",
                "Labels": None,
            }
            (folder / f"{name}.meta").write_text(json.dumps(meta), "utf-8")
            below, parent = parent, name
        meta = {"Size": self.blocks * BLOCK, "Head": parent, "Dirty": False, "Rebuilding": False, "Parent": below}
        (folder / "volume.meta").write_text(json.dumps(meta), "utf-8")
        return folder

    def sha256(self) -> str:
        """Return the SHA-256 of the image, block by block."""
        digest, zeros = hashlib.sha256(), bytes(BLOCK)
        for place in self._places():
            digest.update(zeros if place < 0 else self._pool[place : place + BLOCK])
        return digest.hexdigest()

    def owned(self) -> int:
        """Return how many bytes of the volume some layer owns."""
        return sum(place != _HOLE for place in self._places()) * BLOCK

    def _places(self) -> Iterator[int]:
        places = [_HOLE] * self.blocks
        for layer in self.layers:
            for first, count, pool in layer:
                for block in range(count):
                    places[first + block] = _ZERO if pool < 0 else pool + block * BLOCK
        return iter(places)

    def _scatter(self, dice: random.Random, share: int, sizes: range) -> Iterator[tuple[int, int, int]]:
        left = share // BLOCK
        while left > 0:
            count = min(dice.choice(sizes), left)
            first = dice.randrange(self.blocks - count)
            # One run in twenty is written zeros.
            pool = _ZERO if dice.randrange(20) == 0 else dice.randrange(_POOL - count * BLOCK)
            yield first, count, pool
            left -= count


_HOLE, _ZERO = -2, -1
