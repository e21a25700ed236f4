"""Defects of the described tool that must not come back: those of ranking, merging and the image (DEF-02 .. DEF-12)."""

import errno
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from components.longhorn.recovery import (
    MergeOptions,
    RecoveryError,
    RefusedError,
    Status,
    inspect,
    merge,
    read_replica,
)
from components.longhorn.recovery.ranking import Circumstances, rank
from components.longhorn.recovery.scan import scan
from components.longhorn.recovery.text import scan_text, size
from tests.recovery.model.layers import BLOCK, content, make_replica
from tests.recovery.model.witness import holes

NAME = "pvc-0a1b2c3d-00000001"
VECTORS = {
    1: (["ABCDEF..", "..0d..G.", ".b.0.0.."], "Ab00E0G0", "0b0d00G0"),
    2: (["..0d..G.", ".b.0.0.."], "0b0000G0", "0b0d00G0"),
    6: (["ABCDEFGH", "00000000"], "00000000", "ABCDEFGH"),
    8: (["A...", ".B..", "..C."], "ABC0", "0BC0"),
}
pytestmark = pytest.mark.usefixtures("nobody_else")


def described_tool(layers: list[str]) -> str:
    """What the described tool does: the head and one parent, and a zero counts as nothing."""
    head, parent = layers[-1], layers[-2] if len(layers) > 1 else "." * len(layers[-1])
    blank = {".", "0"}
    return "".join(h if h not in blank else p if p not in blank else "0" for h, p in zip(head, parent, strict=True))


def test_def_02_a_small_volume_is_found(fast_path: Path) -> None:
    """16384 was compared with KiB: everything below 16 MiB was NOT FOUND."""
    make_replica(fast_path / NAME, "A" * 100)
    (ranking,) = scan([fast_path]).rankings
    assert ranking.chosen
    assert 16 < ranking.chosen.actual // 1024 < 16384


def test_def_03_sizes_are_in_the_unit_that_they_name(fast_path: Path) -> None:
    """KiB were divided by 1024 twice, and called MiB."""
    assert [size(count) for count in (0, 16 << 10, 3 << 20, 11 << 30)] == ["0 B", "16 KiB", "3 MiB", "11 GiB"]
    make_replica(fast_path / NAME, "A" * 1024)
    (ranking,) = scan([fast_path]).rankings
    (found,) = (candidate.replica for candidate in ranking.candidates)
    report = scan([fast_path])
    exact = replace(report.rankings[0].candidates[0], replica=replace(found, actual=4 << 20))
    text = "\n".join(scan_text(replace(report, rankings=(replace(ranking, candidates=(exact,)),))))
    assert "(4 MiB)" in text


def test_def_05_a_copy_that_lost_written_zeros_is_noticed(tmp_path: Path) -> None:
    """Copiers that make holes of zeros (`cp --sparse=always`, on some systems plain `cp -a`) let data come back."""
    source = make_replica(tmp_path / NAME, "A" * 2048, "." * 500 + "0" * 500 + "B" * 24 + "." * 1024)
    copy = tmp_path / "pvc-0a1b2c3d-00000002"
    subprocess.run(["cp", "-a", "--sparse=always", source, copy], check=True)
    assert holes(copy / "volume-head-001.img") != holes(source / "volume-head-001.img")
    assert merge(source, tmp_path / "right").status is Status.RECOVERED
    wrong = merge(copy, tmp_path / "wrong")
    assert wrong.status is Status.WARNINGS
    assert [finding.code for finding in wrong.findings] == ["holes-punched"]
    assert (tmp_path / "wrong").read_bytes() != (tmp_path / "right").read_bytes()


def test_def_05_a_copy_that_filled_the_holes_is_refused(tmp_path: Path) -> None:
    source = make_replica(tmp_path / NAME, "A" * 2048, "." * 1000 + "B" * 24 + "." * 1024)
    copy = tmp_path / "pvc-0a1b2c3d-00000002"
    subprocess.run(["cp", "-a", "--sparse=never", source, copy], check=True)
    with pytest.raises(RefusedError) as caught:
        merge(copy, tmp_path / "image")
    assert caught.value.code == "holes-filled"
    assert "zero-as-hole" in str(caught.value)


@pytest.mark.parametrize("number", [1, 8])
def test_def_06_the_whole_chain_is_merged(number: int, tmp_path: Path) -> None:
    """The head and one parent only: what lay below was lost."""
    layers, right, wrong = VECTORS[number]
    assert described_tool(layers) == wrong
    merge(make_replica(tmp_path / NAME, *layers), tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == content(right)


@pytest.mark.parametrize("number", [1, 2, 6])
def test_def_07_a_written_zero_hides_what_is_below(number: int, tmp_path: Path) -> None:
    """The content was asked and not the extents: deleted data came back."""
    layers, right, wrong = VECTORS[number]
    assert described_tool(layers) == wrong
    merge(make_replica(tmp_path / NAME, *layers), tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == content(right)


def test_def_09_an_image_is_complete_only_by_its_manifest(tmp_path: Path) -> None:
    """The output was truncated to its full size first, and its existence counted as success."""
    source, image = make_replica(tmp_path / NAME, "ABCD"), tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(4 * BLOCK)
    with pytest.raises(RefusedError) as caught:
        merge(source, image)
    assert caught.value.code == "output-exists"
    merge(source, image, MergeOptions(overwrite=True))
    assert image.read_bytes() == content("ABCD")
    assert merge(source, image).reused
    # The manifest of one image does not vouch for another.
    shutil.copyfile(tmp_path / "image.manifest.json", tmp_path / "other.manifest.json")
    shutil.copyfile(image, tmp_path / "other")
    os.truncate(tmp_path / "other", 3 * BLOCK)
    with pytest.raises(RefusedError):
        merge(source, tmp_path / "other")


def test_def_10_every_byte_is_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No fsync, no checksum, no look at the free space."""
    source, image = make_replica(tmp_path / NAME, "ABCD"), tmp_path / "image"
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    result = merge(source, image)
    assert synced.count("image.partial") >= 1
    assert synced.index("image.partial") < synced.index("image.manifest.json.tmp")
    assert result.verified
    assert len(result.content.sha256) == 64


def test_def_10_a_failing_sync_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, image = make_replica(tmp_path / NAME, "ABCD"), tmp_path / "image"
    real = os.fsync

    def fsync(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().suffix == ".partial":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RecoveryError) as caught:
        merge(source, image)
    assert caught.value.status is Status.FAILED
    assert not image.exists()


def test_def_12_a_live_directory_never_wins(fast_path: Path) -> None:
    """A second run ranked again, and chose the directory that the first had begun to fill."""
    old = make_replica(fast_path / NAME, "A" * 20)
    new = make_replica(fast_path / "pvc-0a1b2c3d-00000002", "A" * 4000)
    found = [inspect(read_replica(path)) for path in (old, new)]
    (by_size,) = rank(found)
    assert by_size.chosen
    assert by_size.chosen.path == new
    (ranking,) = rank(found, Circumstances(live=frozenset({new.name})))
    assert ranking.chosen
    assert ranking.chosen.path == old
