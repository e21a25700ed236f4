"""Replicas of one volume compared without writing an image (MRG-025)."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from components.longhorn.recovery import BadInputError, CancelledError, DamagedError, Observer, Status
from components.longhorn.recovery.compare import compare
from components.longhorn.recovery.text import compare_text
from tests.recovery.model.engine import play
from tests.recovery.model.layers import BLOCK, layer_meta, make_replica, volume_meta, write_json
from tests.recovery.model.witness import witness

A, B, C = (f"pvc-0a1b2c3d-0000000{letter}" for letter in "abc")


def test_equal_content_in_different_layers_is_equal(fast_path: Path) -> None:
    """How the blocks are spread over layers, and whether zeros were written, is no difference."""
    first = make_replica(fast_path / A, "ABCD....", "..0e0...")
    second = make_replica(fast_path / B, "AB0e0...")
    found = compare([first, second])
    assert (found.status, found.differing, found.ranges, found.differences) == (Status.RECOVERED, 0, 0, ())
    assert found.compared == 5 * BLOCK
    assert found.agreeing == ((0, 1),)
    assert list(compare_text(found))[-1] == "verdict: equal: each of them gives the same image"


def test_differing_ranges_with_their_layers(fast_path: Path) -> None:
    first = make_replica(fast_path / A, "ABCDEF..", "..xx....")
    second = make_replica(fast_path / B, "ABCDEF..", "......g.")
    third = make_replica(fast_path / C, "ABCDEF..", "..xx....")
    before = [witness(path) for path in (first, second, third)]
    found = compare([first, second, third])
    assert found.status is Status.WARNINGS
    assert (found.differing, found.ranges) == (3 * BLOCK, 2)
    assert [(d.offset // BLOCK, d.length // BLOCK, d.groups, d.layers) for d in found.differences] == [
        (2, 2, (0, 1, 0), ("volume-head-001.img", "volume-snap-s0.img", "volume-head-001.img")),
        (6, 1, (0, 1, 0), ("", "volume-head-001.img", "")),
    ]
    text = "\n".join(compare_text(found))
    assert "aba" in text
    assert "12 KiB differ in 2 ranges" in text
    assert found.agreeing == ((0, 2), (1,))
    assert text.splitlines()[-1].startswith("verdict: different: A = C, B; `scan`")
    assert found.as_dict()["agreeing"] == [[0, 2], [1]]
    assert [witness(path) for path in (first, second, third)] == before


def test_volumes_of_different_size(fast_path: Path) -> None:
    first, second = make_replica(fast_path / A, "AB"), make_replica(fast_path / B, "ABC.")
    found = compare([first, second])
    assert [finding.code for finding in found.findings] == ["sizes-differ"]
    assert [(d.offset // BLOCK, d.length // BLOCK) for d in found.differences] == [(2, 1)]


def test_a_larger_volume_with_nothing_more_in_it(fast_path: Path) -> None:
    found = compare([make_replica(fast_path / A, "AB"), make_replica(fast_path / B, "AB..")])
    assert (found.status, found.differing) == (Status.WARNINGS, 0)
    assert list(compare_text(found))[-1] == "verdict: equal, but not in size"


def test_who_agrees_is_judged_by_all_ranges(fast_path: Path) -> None:
    """Each pair agrees somewhere, and nobody everywhere."""
    layers = {A: "..xx..y.", B: "..xx....", C: "......y."}
    found = compare([make_replica(fast_path / name, "ABCDEF..", head) for name, head in layers.items()])
    assert found.agreeing == ((0,), (1,), (2,))


def test_random_pairs(fast_path: Path, dice: random.Random) -> None:
    """Against the model of the engine: the differing bytes are exactly those of the two images."""
    for number in range(25):
        engines = [play(random.Random(dice.random()), operations=20) for _ in range(2)]
        paths = [engine.store(fast_path / f"{number}-{index}") for index, engine in enumerate(engines)]
        size = max(engine.blocks for engine in engines) * BLOCK
        one, other = (engine.image().ljust(size, b"\0") for engine in engines)
        wrong = [at for at in range(0, size, BLOCK) if one[at : at + BLOCK] != other[at : at + BLOCK]]
        found = compare(paths)
        listed = [at for d in found.differences for at in range(d.offset, d.offset + d.length, BLOCK)]
        assert listed == wrong
        assert found.differing == len(wrong) * BLOCK


def test_bad_input_and_damage(fast_path: Path) -> None:
    good, bad = make_replica(fast_path / A, "AB"), make_replica(fast_path / B, "AB")
    (bad / "volume.meta").unlink()
    with pytest.raises(BadInputError):
        compare([good])
    with pytest.raises(BadInputError):
        compare([good, fast_path / "nothing"])
    with pytest.raises(DamagedError) as caught:
        compare([good, bad])
    assert "volume-meta-missing" in str(caught.value)

    class Stop(Observer):
        def cancelled(self) -> bool:
            return True

    with pytest.raises(CancelledError):
        compare([good, good], observer=Stop())


def test_files_that_are_affected(tmp_path: Path) -> None:
    """A real file system: the one file whose content differs is named, with the layer it comes from."""
    mkfs = shutil.which("mkfs.ext4", path="/sbin:/usr/sbin:/usr/bin:/bin")
    assert mkfs, "e2fsprogs is part of every Debian"
    tree = tmp_path / "tree" / "data"
    tree.mkdir(parents=True)
    (tree / "accounts.db").write_bytes(b"account " * 4096)
    (tree / "other.txt").write_text("x")
    image = tmp_path / "image"
    image.touch()
    subprocess.run([mkfs, "-q", "-F", "-b", "4096", "-d", tree.parent, image, "16M"], check=True)
    content = image.read_bytes()
    at = content.index(b"account " * 512)
    folders = []
    for name, change in ((A, b""), (B, b"changed!")):
        folder = make_replica(tmp_path / name, "A", ".")
        size = len(content)
        shutil.copyfile(image, folder / "volume-snap-s0.img")
        with (folder / "volume-head-001.img").open("wb") as head:
            head.truncate(size)
            if change:
                head.seek(at)
                head.write(change * 512)
        write_json(folder / "volume.meta", volume_meta(size, "volume-head-001.img", "volume-snap-s0.img"))
        write_json(folder / "volume-snap-s0.img.meta", layer_meta("x", ""))
        folders.append(folder)
    found = compare(folders)
    assert [(d.offset, d.length, d.layers) for d in found.differences] == [
        (at, BLOCK, ("volume-snap-s0.img", "volume-head-001.img"))
    ]
    assert [affected.files for affected in found.affected] == [("/data/accounts.db",)] * 2
