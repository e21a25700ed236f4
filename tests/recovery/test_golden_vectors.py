"""The specification's golden vectors (6.3), in both modes, and what the described tool made of them."""

from pathlib import Path

import pytest

from components.longhorn.recovery import DamagedError, MergeOptions, Mode, Status, merge
from tests.recovery.model.layers import NAME, content, make_replica

VECTORS = {
    1: (["ABCDEF..", "..0d..G.", ".b.0.0.."], "Ab00E0G0"),
    2: (["..0d..G.", ".b.0.0.."], "0b0000G0"),
    3: (["AB..C0.."], "AB00C000"),
    4: (["ABCD", "......gh"], "ABCD00gh"),
    5: (["ABCDEFGH", "........"], "ABCDEFGH"),
    6: (["ABCDEFGH", "00000000"], "00000000"),
    8: (["A...", ".B..", "..C."], "ABC0"),
}
ZERO_AS_HOLE = {1: "AbCdEFG0", 2: "0b0d00G0", 6: "ABCDEFGH"}


@pytest.mark.parametrize("number", VECTORS)
def test_vector_by_extents(number: int, tmp_path: Path) -> None:
    layers, expected = VECTORS[number]
    source, image = make_replica(tmp_path / NAME, *layers), tmp_path / "image"
    result = merge(source, image)
    assert image.read_bytes() == content(expected)
    assert result.status is (Status.WARNINGS if number == 4 else Status.RECOVERED)
    assert len(result.plan.layers) == len(layers)


@pytest.mark.parametrize("number", ZERO_AS_HOLE)
def test_vector_with_zeros_as_holes(number: int, tmp_path: Path) -> None:
    layers, image = VECTORS[number][0], tmp_path / "image"
    result = merge(make_replica(tmp_path / NAME, *layers), image, MergeOptions(mode=Mode.ZERO_AS_HOLE))
    assert image.read_bytes() == content(ZERO_AS_HOLE[number])
    assert result.status is Status.WARNINGS
    assert [finding.code for finding in result.findings] == ["zero-as-hole"]


def test_vector_7_has_no_data(tmp_path: Path) -> None:
    source = make_replica(tmp_path / NAME, "........", "........")
    with pytest.raises(DamagedError) as caught:
        merge(source, tmp_path / "image")
    assert caught.value.code == "no-extents"
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
