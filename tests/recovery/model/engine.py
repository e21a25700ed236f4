"""A deliberately naive model of the storage engine: layers are dictionaries, reading asks them one after the other.

It shares nothing with the library. It writes a replica directory as the engine leaves it: heads renamed to snapshots
keep their old name inside their metadata, head numbers wrap, removed snapshots stay until they are purged.
"""

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.recovery.model.layers import BLOCK, layer_meta, volume_meta, write_json

ZEROS = bytes(BLOCK)
HIGHEST_HEAD = 999


@dataclass
class ModelLayer:
    """Blocks that were written to this layer; a block of zeros is a block."""

    name: str
    parent: str
    blocks: int
    own: dict[int, bytes] = field(default_factory=dict)
    removed: bool = False
    user_created: bool = False
    written_name: str = ""


class Engine:
    """One volume of a number of blocks."""

    def __init__(self, blocks: int, first_head: int = 0) -> None:
        self.blocks = blocks
        self.head_number = first_head
        self.layers: dict[str, ModelLayer] = {}
        self.head = self._new_head("")
        self.serial = 0

    def write(self, block: int, content: bytes) -> None:
        self.layers[self.head].own[block] = content

    def unmap(self, block: int) -> None:
        """Punch a hole in the head and in the removed layers right below it."""
        layer = self.layers[self.head]
        layer.own.pop(block, None)
        while layer.parent and self.layers[layer.parent].removed:
            layer = self.layers[layer.parent]
            layer.own.pop(block, None)

    def snapshot(self, *, user_created: bool = True, name: str = "") -> str:
        self.serial += 1
        snapshot = f"volume-snap-{name or f'{self.serial:08x}-5c7f'}.img"
        layer = self.layers.pop(self.head)
        layer.name, layer.user_created = snapshot, user_created
        self.layers[snapshot] = layer
        self.head = self._new_head(snapshot)
        return snapshot

    def revert(self, snapshot: str) -> None:
        """The head is thrown away; snapshots beside the new chain stay as branches."""
        del self.layers[self.head]
        self.head = self._new_head(snapshot)

    def expand(self, blocks: int) -> None:
        self.snapshot(user_created=False, name=f"expand-{blocks * BLOCK}")
        self.blocks = blocks
        self.layers[self.head].blocks = blocks

    def delete(self, snapshot: str) -> None:
        self.layers[snapshot].removed = True

    def purge(self) -> None:
        """Fold each removed snapshot with one child, which is no head, into that child."""
        for name in list(self.layers):
            layer = self.layers[name]
            children = [child for child in self.layers.values() if child.parent == name]
            if layer.removed and len(children) == 1 and children[0].name != self.head:
                child = children[0]
                child.own = layer.own | child.own
                child.parent = layer.parent
                del self.layers[name]

    def rebuild(self) -> None:
        """A rebuild of another replica leaves a system snapshot in this one."""
        self.snapshot(user_created=False)

    def chain(self, start: str = "") -> list[ModelLayer]:
        layers, name = [], start or self.head
        while name:
            layers.append(self.layers[name])
            name = layers[-1].parent
        return layers

    def read(self, block: int, start: str = "") -> bytes:
        for layer in self.chain(start):
            if block in layer.own:
                return layer.own[block]
        return ZEROS

    def image(self, start: str = "") -> bytes:
        return b"".join(self.read(block, start) for block in range(self.blocks))

    def store(self, folder: Path) -> Path:
        """Write the replica directory."""
        folder.mkdir(parents=True)
        for layer in self.layers.values():
            with (folder / layer.name).open("wb") as file:
                file.truncate(layer.blocks * BLOCK)
                for block, content in sorted(layer.own.items()):
                    os.pwrite(file.fileno(), content, block * BLOCK)
            meta = layer_meta(layer.written_name, layer.parent, Removed=layer.removed, UserCreated=layer.user_created)
            write_json(folder / f"{layer.name}.meta", meta)
        head = self.layers[self.head]
        write_json(folder / "volume.meta", volume_meta(self.blocks * BLOCK, self.head, head.parent, Dirty=True))
        return folder

    def _new_head(self, parent: str) -> str:
        name = f"volume-head-{self.head_number:03d}.img"
        self.head_number = 0 if self.head_number == HIGHEST_HEAD else self.head_number + 1
        self.layers[name] = ModelLayer(name, parent, self.blocks, written_name=name)
        return name


def play(dice: random.Random, *, operations: int = 60) -> Engine:
    """A random life of a volume, with data and zeros written, and often with nothing at both ends."""
    engine = Engine(dice.randint(1, 48), dice.choice([0, 2, 998, 999]))
    low = dice.randint(0, engine.blocks - 1) if dice.random() < 0.5 else 0
    actions = [_write, _zero, _unmap, _snapshot, _revert, _expand, _delete, _purge, _rebuild]
    for serial in range(dice.randint(1, operations)):
        high = engine.blocks - 1 if dice.random() < 0.7 else max(engine.blocks - 3, low)
        first = dice.randint(min(low, high), high)
        run = range(first, min(first + dice.choice([1, 1, 2, 5, 20]), engine.blocks))
        dice.choices(actions, [40, 12, 8, 14, 3, 3, 5, 3, 2])[0](engine, dice, run, serial)
    return engine


def _write(engine: Engine, _dice: random.Random, run: range, serial: int) -> None:
    for block in run:
        engine.write(block, _content(serial, block))


def _zero(engine: Engine, _dice: random.Random, run: range, _serial: int) -> None:
    for block in run:
        engine.write(block, ZEROS)


def _unmap(engine: Engine, _dice: random.Random, run: range, _serial: int) -> None:
    for block in run:
        engine.unmap(block)


def _snapshot(engine: Engine, _dice: random.Random, _run: range, _serial: int) -> None:
    engine.snapshot()


def _revert(engine: Engine, dice: random.Random, _run: range, _serial: int) -> None:
    snapshots = [name for name in engine.layers if name != engine.head]
    if snapshots:
        engine.revert(dice.choice(snapshots))


def _expand(engine: Engine, dice: random.Random, _run: range, _serial: int) -> None:
    engine.expand(engine.blocks + dice.randint(1, 8))


def _delete(engine: Engine, dice: random.Random, _run: range, _serial: int) -> None:
    ancestors = engine.chain()[1:]
    if ancestors:
        engine.delete(dice.choice(ancestors).name)


def _purge(engine: Engine, _dice: random.Random, _run: range, _serial: int) -> None:
    engine.purge()


def _rebuild(engine: Engine, _dice: random.Random, _run: range, _serial: int) -> None:
    engine.rebuild()


def _content(serial: int, block: int) -> bytes:
    """A block like no other; now and then only one of its bytes is not zero."""
    if serial % 7 == 0:
        return bytes(BLOCK - 1) + b"\x01"
    return (serial * 100_003 + block + 1).to_bytes(8, "little") * (BLOCK // 8)
