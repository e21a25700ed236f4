"""Replica directories made of text: one character per block of 4096 bytes, as the specification's golden vectors."""

import json
import os
from pathlib import Path
from typing import Any

BLOCK = 4096
HOLE, ZERO = ".", "0"
NAME = "pvc-0a1b2c3d-00000001"
"""A directory as Longhorn names them: volume and 8 hex digits."""


def content(blocks: str) -> bytes:
    """The bytes that a row of characters stands for; a hole and a zero both read as zeros."""
    return b"".join(bytes(BLOCK) if block in {HOLE, ZERO} else block.encode() * BLOCK for block in blocks)


def write_layer(path: Path, blocks: str) -> None:
    """Write exactly the blocks that are no holes, one by one."""
    with path.open("wb") as file:
        file.truncate(len(blocks) * BLOCK)
        for index, block in enumerate(blocks):
            if block != HOLE:
                file.seek(index * BLOCK)
                file.write(bytes(BLOCK) if block == ZERO else block.encode() * BLOCK)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document) + "\n", "utf-8")


def volume_meta(size: int, head: str, parent: str, **more: Any) -> dict[str, Any]:
    """A `volume.meta` as the engine writes it."""
    meta = {"Size": size, "Head": head, "Dirty": False, "Rebuilding": False, "Error": "", "Parent": parent}
    return meta | {"SectorSize": 512, "BackingFilePath": ""} | more


def layer_meta(name: str, parent: str, **more: Any) -> dict[str, Any]:
    """A layer's own metadata as the engine writes it."""
    meta = {"Name": name, "Parent": parent, "Removed": False, "UserCreated": False}
    return meta | {"Created": "2031-05-04T03:02:01Z", "Labels": None} | more


def make_replica(folder: Path, *layers: str, size: int | None = None, **meta: Any) -> Path:
    """Write a replica directory; layers from the root to the head."""
    folder.mkdir(parents=True)
    names = [f"volume-snap-s{index}.img" for index in range(len(layers) - 1)]
    names.append(f"volume-head-{len(layers) - 1:03d}.img")
    parent = ""
    for name, blocks in zip(names, layers, strict=True):
        write_layer(folder / name, blocks)
        write_json(folder / f"{name}.meta", layer_meta(name, parent))
        parent = name
    size = len(layers[-1]) * BLOCK if size is None else size
    parent = names[-2] if len(names) > 1 else ""
    write_json(folder / "volume.meta", volume_meta(size, names[-1], parent, **meta))
    return folder
