"""Who owns a range: extent maps of real files, file systems that cannot tell, and the union against a plain count."""

import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from components.longhorn.recovery import (
    MergeOptions,
    Mode,
    RefusedError,
    Verdict,
    Volume,
    inspect,
    merge,
    read_replica,
)
from components.longhorn.recovery.extents import LayerFile, LayerSource, Range
from components.longhorn.recovery.union import segments
from tests.recovery.model.layers import BLOCK, content, make_replica, write_layer

NAME = "pvc-0a1b2c3d-00000001"
pytestmark = pytest.mark.usefixtures("nobody_else")


class Blocks:
    """A layer in memory: one character per block (MRG-023)."""

    def __init__(self, row: str) -> None:
        self.row = row

    @property
    def size(self) -> int:
        return len(self.row) * BLOCK

    def extents(self) -> Iterator[Range]:
        return ((n * BLOCK, (n + 1) * BLOCK) for n, block in enumerate(self.row) if block != ".")

    def read(self, offset: int, length: int) -> bytes:
        return content(self.row)[offset : offset + length]

    def fill(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.read(offset, len(buffer)).ljust(len(buffer), b"\0")


def test_synthetic_layers_make_a_volume() -> None:
    layers: list[LayerSource] = [Blocks(".b.0.0.."), Blocks("..0d..G."), Blocks("ABCDEF")]
    volume = Volume(layers, 8 * BLOCK)
    right = content("Ab00E0G0")
    assert volume.read(0, 8 * BLOCK) == right
    for offset in range(0, 8 * BLOCK, 1111):
        assert volume.read(offset, 5000) == right[offset : offset + 5000]
    assert [volume.owner(n * BLOCK) for n in range(8)] == [2, 0, 1, 0, 2, 0, 1, None]
    cured = Volume(layers, 8 * BLOCK, Mode.ZERO_AS_HOLE)
    assert cured.read(0, 9 * BLOCK) == content("AbCdEFG0")


def test_the_union_of_random_extents(dice: random.Random) -> None:
    """Against a count block by block: the newest owner, or all of them; ascending, without overlap, below the limit."""
    for _ in range(400):
        layers, size = dice.randint(1, 6), dice.randint(1, 30)
        density = dice.choice([0.1, 0.5, 0.9])
        owned = [[dice.random() < density for _ in range(size)] for _ in range(layers)]
        extents = [list(_runs(row, dice)) for row in owned]
        limit = dice.randint(0, size)
        for everyone in (False, True):
            found: dict[int, tuple[int, ...]] = {}
            last = 0
            for segment in segments(extents, limit, all_owners=everyone):
                assert last <= segment.start < segment.end <= limit
                last = segment.end
                found |= dict.fromkeys(range(segment.start, segment.end), segment.owners)
            right = {
                block: owners if everyone else owners[:1]
                for block in range(limit)
                if (owners := tuple(layer for layer in range(layers) if owned[layer][block]))
            }
            assert found == right


def _runs(row: list[bool], dice: random.Random) -> Iterator[Range]:
    """The runs of a row, now and then in two parts that touch."""
    begin = 0
    while begin < len(row):
        end = begin
        while end < len(row) and row[end]:
            end += 1
        if end > begin:
            cut = dice.randint(begin, end)
            yield from ([(begin, cut), (cut, end)] if begin < cut < end else [(begin, end)])
        begin = end + 1


def test_both_ways_to_ask_agree(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    write_layer(path, "." * 9 + "A0" + "." * 30 + "B" * 700 + "." * 5 + "0" + "." * 3)
    with closing(LayerFile(path)) as file:
        found = list(file.extents())
        file.method = "seek"
        assert list(file.extents()) == found
    assert found == [(9 * BLOCK, 11 * BLOCK), (41 * BLOCK, 741 * BLOCK), (746 * BLOCK, 747 * BLOCK)]


def test_more_extents_than_fit_into_one_answer(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    write_layer(path, "A." * 1500)
    with closing(LayerFile(path)) as file:
        assert list(file.extents()) == [(n * BLOCK, (n + 1) * BLOCK) for n in range(0, 3000, 2)]


def test_preallocated_ranges_are_written_zeros(tmp_path: Path) -> None:
    """GLK-008: the engine sees an extent there. Where only holes can be asked for, nobody can tell."""
    source = make_replica(tmp_path / NAME, "ABCDEFGH", "........")
    with (source / "volume-head-001.img").open("r+b") as file:
        os.posix_fallocate(file.fileno(), 2 * BLOCK, 3 * BLOCK)
        os.fsync(file.fileno())
    with closing(LayerFile(source / "volume-head-001.img")) as layer:
        expected = "AB000FGH" if layer.method == "fiemap" else "ABCDEFGH"
    merge(source, tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == content(expected)


def test_a_file_system_that_cannot_tell_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MRG-013: by extents the newest layer would hide all others. Zeros as holes can be merged, when asked for."""
    source = make_replica(tmp_path / NAME, "ABCDEFGH" * 40, "..x....." * 40)
    monkeypatch.setattr(LayerFile, "_find_method", lambda _self: "none")
    found = inspect(read_replica(source))
    assert found.verdict is Verdict.REFUSED
    assert [finding.code for finding in found.findings] == ["holes-unknown"]
    with pytest.raises(RefusedError) as caught:
        merge(source, tmp_path / "image", MergeOptions(accepting=frozenset({"holes-filled"})))
    assert caught.value.code == "holes-unknown"
    merge(source, tmp_path / "image", MergeOptions(mode=Mode.ZERO_AS_HOLE))
    assert (tmp_path / "image").read_bytes() == content("ABxDEFGH" * 40)


def test_a_file_system_that_lies_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS 3 and others report a file with holes as one piece of data; its count of blocks betrays that."""
    source = make_replica(tmp_path / NAME, "A" + "." * 700, "." * 700 + "B")
    monkeypatch.setattr(LayerFile, "_find_method", lambda _self: "seek")
    monkeypatch.setattr(LayerFile, "_seek", lambda self: iter([(0, self.size)]))
    assert [finding.code for finding in inspect(read_replica(source)).findings] == ["holes-unknown"]
