"""Random lives of volumes: the merged image equals what the model of the engine reads, block by block."""

import random
import shutil
from pathlib import Path

import pytest

from components.longhorn.recovery import (
    DamagedError,
    MergeOptions,
    RefusedError,
    merge,
    open_volume,
    read_replica,
)
from tests.recovery.model.engine import Engine, play
from tests.recovery.model.layers import BLOCK, NAME, content, make_replica
from tests.recovery.model.witness import witness

CHAINS, LONG_CHAINS = 300, 20_000
ON_DISK = 12


pytestmark = pytest.mark.usefixtures("nobody_else")


def check(engine: Engine, folder: Path) -> None:
    """Merge what the model stored and compare, also up to a snapshot and through the reader."""
    source, image = engine.store(folder / NAME), folder / "image"
    before = witness(source)
    for until in ("", _some_snapshot(engine)):
        expected = engine.image(until)
        start = engine.chain(until)
        options = MergeOptions(until=until, overwrite=True, accepting=frozenset({"too-small"}))
        if any(any(block) for layer in start for block in layer.own.values()):
            result = merge(source, image, options)
            assert image.read_bytes() == expected
            assert result.content.data_bytes == BLOCK * sum(
                any(expected[at : at + BLOCK]) for at in range(0, len(expected), BLOCK)
            )
        else:
            with pytest.raises((DamagedError, RefusedError)) as caught:
                merge(source, image, options)
            assert caught.value.code in {"no-extents", "all-zero"}
    chain = read_replica(source).chain
    assert chain
    volume = open_volume(chain)
    assert volume.read(0, volume.size + 1) == engine.image()
    volume.close()
    assert witness(source) == before


def _some_snapshot(engine: Engine) -> str:
    return next(iter(sorted(engine.layers)))


def test_random_chains(fast_path: Path, dice: random.Random, long_run: bool) -> None:
    depths = set()
    for number in range(LONG_CHAINS if long_run else CHAINS):
        engine = play(dice)
        depths.add(len(engine.chain()))
        folder = fast_path / str(number)
        check(engine, folder)
        shutil.rmtree(folder)
    assert {1, 2, 3, 5} <= depths


def test_random_chains_on_a_disk(tmp_path: Path, dice: random.Random) -> None:
    """The same with extents from a real file system, which are asked for in another way."""
    for number in range(ON_DISK):
        check(play(dice), tmp_path / str(number))


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 64, 249, 250])
def test_depth(depth: int, fast_path: Path, dice: random.Random) -> None:
    engine = _deep(depth, dice)
    assert len(engine.chain()) == depth
    check(engine, fast_path)


def test_deeper_than_the_engine_makes_them(fast_path: Path, dice: random.Random) -> None:
    source = _deep(251, dice).store(fast_path / NAME)
    with pytest.raises(DamagedError) as caught:
        merge(source, fast_path / "image")
    assert caught.value.code == "chain-too-long"


def _deep(depth: int, dice: random.Random) -> Engine:
    engine = Engine(64, 990)
    for level in range(depth):
        if level:
            engine.snapshot()
        for block in dice.sample(range(64), 3):
            engine.write(block, dice.choice([bytes(BLOCK), bytes([level % 255 + 1]) * BLOCK]))
    engine.write(63, b"!" * BLOCK)
    return engine


@pytest.mark.parametrize("length", range(1, 9))
def test_layers_of_every_length(length: int, tmp_path: Path) -> None:
    """Below a layer's end the older ones are not asked for what they never had (GLK-009)."""
    source = make_replica(tmp_path / NAME, "A" * length, "." * (length - 1) + "B", ".......c")
    merge(source, tmp_path / "image")
    expected = ("A" * (length - 1) + "B" + "0" * 8)[:7] + "c"
    assert (tmp_path / "image").read_bytes() == content(expected)


def test_holes_at_both_ends_stay_holes(tmp_path: Path) -> None:
    source = make_replica(tmp_path / NAME, "." * 500 + "A" + "." * 500, "." * 490 + "0B" + "." * 509)
    image = tmp_path / "image"
    merge(source, image)
    assert image.read_bytes() == content("." * 491 + "B" + "." * 8 + "A" + "." * 500)
    assert image.stat().st_blocks * 512 <= 16 * BLOCK
