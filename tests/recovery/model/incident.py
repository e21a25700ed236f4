"""The documented state after the incident (16.3), as directories: which suffixes lie on which node."""

import os
from pathlib import Path
from typing import NamedTuple

from tests.recovery.model.layers import layer_meta, volume_meta, write_json

MEBIBYTE = 1 << 20
TABLE = """
1251909b-3cef-40c6-881c-3bb6e929a596 | - | e7a20fdf | 1163420b 3a569b0a ccd05947
14ccc47e-0b8c-49d4-97bb-70e550f644b0 | - | 09021065 | 3856d64d
6d2ea1c7-9327-4992-a02c-93ae604eda70 | - | c7f287d8 | 0e73550d 787ffefa e0f58d64
7971918e-e47f-4739-a976-965ea2d770b4 | - | 2028617e | 33191046 88fc1dfc b5c5530d
88e18c7f-2cfd-45e3-be5b-78c31ab829e9 | - | 910583f6 | 5d508830 92c0ebfd deea6182
aed7f2c4-1948-487a-8d10-d8a1372289b4 | - | 41c20064 | 3452358f 826f05aa
ca5567d3-a682-4cee-8ff1-2b8e23260635 | - | b537ca60 | 0ed6f691 808d72b4 9051ef48
cc8a3cbb-dbc2-47a2-a0cc-a02136122b90 | - | cd16e459 | 011b54b3 a24fd91e
cdd434d1-88b4-4588-8fd2-8c7eafc56d07 | - | b2695689 | 70197659 998f49ff
d1d5482b-81c8-4d7c-a528-7a57ef47a5ce | - | e0a8cdbc | 6a730f00 75da16fd
efda1d2f-1db8-46dd-9a97-3d11f1807ffa | - | 30c849a6 | 62fb04c9 688f30f5 69454dd0
f9fe3504-70ce-4401-8cda-bc6bb68bc1bf | - | 20f64e9e | 418df608
01b93e30-0000-4000-8000-000000000001 | b1530c1d | 8649439a | 29592f50
4785dc60-0000-4000-8000-000000000002 | 2f031b60 | 4b48fdf1 | 869f0e99
5391fa2b-0000-4000-8000-000000000003 | 0e2ff956 | d3503612 | 958cd868
63244de1-0000-4000-8000-000000000004 | - | 6076eb08 | -
abc7666c-0000-4000-8000-000000000005 | - | 34bec9b0 | -
fca13978-0000-4000-8000-000000000006 | - | 4749b404 | -
2e60385f-0000-4000-8000-000000000007 | - | - | 48e27d5a
abe09e90-0000-4000-8000-000000000008 | - | - | a748d11b
"""
NODES = ("node-1", "node-2", "node-3")
CLICKHOUSE, PROMETHEUS, SHORTENER = (f"pvc-{line.split(' ')[0]}" for line in (TABLE.split("\n")[n] for n in (1, 5, 9)))
NEW = frozenset({"01b93e30", "4785dc60", "5391fa2b"})
"""Volumes that were made after the incident: their directories are in use."""
INCIDENT = 1_900_000_000.0
SIZE = 64 * MEBIBYTE


class Place(NamedTuple):
    """A directory of the table."""

    node: str
    volume: str
    name: str


def places() -> list[Place]:
    found = []
    for line in TABLE.strip().splitlines():
        volume, *nodes = (cell.strip() for cell in line.split("|"))
        for node, suffixes in zip(NODES, nodes, strict=True):
            found += [
                Place(node, f"pvc-{volume}", f"pvc-{volume}-{suffix}") for suffix in suffixes.split() if suffix != "-"
            ]
    return found


def build(root: Path) -> None:
    """Make every directory of the table; what the documents say about single ones is in `make`."""
    for place in places():
        make(root / place.node / place.name, place)
    for node in NODES:
        (root / node).mkdir(exist_ok=True)


def make(folder: Path, place: Place) -> None:
    suffix, kib, rebuilding, dirty, age = place.name[-8:], 300, False, True, 3600.0
    if place.volume == CLICKHOUSE and place.node == "node-3":
        # The chosen one: the largest with data in it.
        kib = 2600 if suffix == "1163420b" else 400
    if place.volume == PROMETHEUS:
        # A rebuilding replica of the full apparent size, and healthy ones that are smaller and really there.
        rebuilding, kib = suffix == "deea6182", {"deea6182": 1300, "910583f6": 1100}.get(suffix, 900)
    if place.volume == SHORTENER:
        age = {"70197659": 3600.0, "998f49ff": 90_000.0}.get(suffix, 180_000.0)
        kib = 260
    folder.mkdir(parents=True)
    head = folder / "volume-head-001.img"
    with head.open("wb") as file:
        file.truncate(SIZE)
        file.write(b"x" * kib * 1024)
    write_json(folder / "volume-head-001.img.meta", layer_meta(head.name, ""))
    write_json(folder / "volume.meta", volume_meta(SIZE, head.name, "", Rebuilding=rebuilding, Dirty=dirty))
    moment = INCIDENT - age if place.volume[4:12] not in NEW else INCIDENT + 7200
    stamp(folder, moment)


def stamp(folder: Path, moment: float) -> None:
    """Give all files of a directory a time, in seconds since 1970."""
    for path in folder.iterdir():
        os.utime(path, (moment, moment))
