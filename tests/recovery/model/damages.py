"""One function per damage: each takes a good replica of three layers and spoils it in one way."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.longhorn.recovery import Status, Verdict
from tests.recovery.model.layers import BLOCK, HOLE, ZERO, layer_meta, make_replica, write_json, write_layer

BLOCKS = 2048
"""8 MiB, a size that Longhorn makes."""
ROOT, MIDDLE, HEAD = "volume-snap-s0.img", "volume-snap-s1.img", "volume-head-002.img"

Damage = Callable[[Path], None]
DAMAGES: dict[str, tuple[Damage, str, str]] = {}
"""Name of the damage: what does it, the verdict, and the code of the finding that says why."""


def rows() -> tuple[str, str, str]:
    """Root, middle and head: data, zeros over data, and holes."""
    root = "A" * 600 + ZERO * 40 + HOLE * (BLOCKS - 640)
    middle = HOLE * 100 + "B" * 50 + ZERO * 50 + HOLE * (BLOCKS - 200)
    return root, middle, HOLE * 300 + "C" * 10 + ZERO * 2 + HOLE * (BLOCKS - 312)


def good(folder: Path) -> Path:
    return make_replica(folder, *rows())


def promised(verdict: Verdict) -> Status:
    """How a merge ends when a scan gave this verdict."""
    return Status.RECOVERED if verdict is Verdict.USABLE else Status[verdict.name]


def damage(verdict: str, code: str) -> Callable[[Damage], Damage]:
    def register(builder: Damage) -> Damage:
        DAMAGES[builder.__name__] = (builder, verdict, code)
        return builder

    return register


def change(folder: Path, name: str, **keys: Any) -> None:
    document = json.loads((folder / name).read_text())
    write_json(folder / name, document | keys)


def without(folder: Path, name: str, key: str) -> None:
    document = json.loads((folder / name).read_text())
    del document[key]
    write_json(folder / name, document)


# volume.meta


@damage("damaged", "volume-meta-missing")
def volume_meta_is_missing(folder: Path) -> None:
    (folder / "volume.meta").unlink()


@damage("damaged", "volume-meta-invalid")
def volume_meta_is_empty(folder: Path) -> None:
    (folder / "volume.meta").write_bytes(b"")


@damage("damaged", "volume-meta-invalid")
def volume_meta_is_full_of_nuls(folder: Path) -> None:
    """What a file system leaves whose metadata reached the disk before the data."""
    (folder / "volume.meta").write_bytes(bytes(180))


@damage("damaged", "volume-meta-invalid")
def volume_meta_is_cut_off(folder: Path) -> None:
    content = (folder / "volume.meta").read_bytes()
    (folder / "volume.meta").write_bytes(content[: len(content) // 2])


@damage("damaged", "volume-meta-invalid")
def volume_meta_is_no_text(folder: Path) -> None:
    (folder / "volume.meta").write_bytes(b"\xff\xfe{\x00}\x00")


@damage("damaged", "volume-meta-invalid")
def volume_meta_is_a_list(folder: Path) -> None:
    (folder / "volume.meta").write_text("[1, 2]\n")


@damage("damaged", "volume-meta-invalid")
def volume_meta_nests_without_end(folder: Path) -> None:
    (folder / "volume.meta").write_text("[" * 200_000)


@damage("damaged", "volume-meta-invalid")
def volume_meta_is_huge(folder: Path) -> None:
    (folder / "volume.meta").write_text(" " * (2 << 20) + "{}")


@damage("damaged", "volume-meta-invalid")
def volume_meta_is_a_directory(folder: Path) -> None:
    (folder / "volume.meta").unlink()
    (folder / "volume.meta").mkdir()


@damage("damaged", "volume-meta-invalid")
def rebuilding_is_a_word(folder: Path) -> None:
    """A reader that takes every text for true, or compares with a word, decides wrongly here."""
    change(folder, "volume.meta", Rebuilding="false")


@damage("damaged", "volume-meta-invalid")
def size_is_a_text(folder: Path) -> None:
    change(folder, "volume.meta", Size=str(BLOCKS * BLOCK))


@damage("damaged", "volume-meta-invalid")
def size_is_a_truth(folder: Path) -> None:
    change(folder, "volume.meta", Size=True)


@damage("damaged", "volume-size-invalid")
def size_is_missing(folder: Path) -> None:
    without(folder, "volume.meta", "Size")


@damage("damaged", "volume-size-invalid")
def size_is_zero(folder: Path) -> None:
    change(folder, "volume.meta", Size=0)


@damage("damaged", "volume-size-invalid")
def size_is_negative(folder: Path) -> None:
    change(folder, "volume.meta", Size=-BLOCK)


@damage("damaged", "volume-size-invalid")
def size_is_no_multiple_of_a_block(folder: Path) -> None:
    change(folder, "volume.meta", Size=BLOCKS * BLOCK - 512)


@damage("damaged", "volume-size-invalid")
def size_is_beyond_all_disks(folder: Path) -> None:
    change(folder, "volume.meta", Size=1 << 70)


@damage("damaged", "head-name-invalid")
def head_is_not_named(folder: Path) -> None:
    without(folder, "volume.meta", "Head")


@damage("damaged", "head-name-invalid")
def head_has_a_wrong_name(folder: Path) -> None:
    change(folder, "volume.meta", Head="volume-head-2.img")


@damage("damaged", "head-name-invalid")
def head_leads_out_of_the_directory(folder: Path) -> None:
    change(folder, "volume.meta", Head="../../secret/volume-head-002.img")


@damage("damaged", "head-name-invalid")
def head_name_holds_a_nul(folder: Path) -> None:
    change(folder, "volume.meta", Head="volume-head-002.img\0")


@damage("damaged", "layer-missing")
def volume_meta_names_another_head(folder: Path) -> None:
    change(folder, "volume.meta", Head="volume-head-007.img")


# The chain


@damage("damaged", "layer-missing")
def head_is_missing(folder: Path) -> None:
    (folder / HEAD).unlink()


@damage("damaged", "layer-missing")
def middle_layer_is_missing(folder: Path) -> None:
    (folder / MIDDLE).unlink()


@damage("damaged", "layer-missing")
def root_is_missing_with_its_metadata(folder: Path) -> None:
    (folder / ROOT).unlink()
    (folder / f"{ROOT}.meta").unlink()


@damage("damaged", "layer-meta-missing")
def head_metadata_is_missing(folder: Path) -> None:
    (folder / f"{HEAD}.meta").unlink()


@damage("damaged", "layer-meta-missing")
def middle_metadata_is_missing(folder: Path) -> None:
    (folder / f"{MIDDLE}.meta").unlink()


@damage("damaged", "layer-meta-invalid")
def middle_metadata_is_cut_off(folder: Path) -> None:
    content = (folder / f"{MIDDLE}.meta").read_bytes()
    (folder / f"{MIDDLE}.meta").write_bytes(content[:20])


@damage("damaged", "layer-meta-invalid")
def metadata_forgot_the_parent(folder: Path) -> None:
    """Without this check the layers below would silently be left out."""
    without(folder, f"{MIDDLE}.meta", "Parent")


@damage("damaged", "layer-meta-invalid")
def metadata_is_an_empty_object(folder: Path) -> None:
    write_json(folder / f"{MIDDLE}.meta", {})


@damage("damaged", "layer-meta-invalid")
def parent_is_a_number(folder: Path) -> None:
    change(folder, f"{MIDDLE}.meta", Parent=7)


@damage("damaged", "layer-name-invalid")
def parent_leads_out_of_the_directory(folder: Path) -> None:
    change(folder, f"{MIDDLE}.meta", Parent="../other/volume-snap-s0.img")


@damage("damaged", "layer-name-invalid")
def parent_is_no_layer(folder: Path) -> None:
    change(folder, f"{MIDDLE}.meta", Parent="volume.meta")


@damage("damaged", "chain-cycle")
def layer_is_its_own_parent(folder: Path) -> None:
    change(folder, f"{ROOT}.meta", Parent=ROOT)


@damage("damaged", "chain-cycle")
def chain_turns_back(folder: Path) -> None:
    change(folder, f"{ROOT}.meta", Parent=MIDDLE)


@damage("damaged", "chain-too-long")
def chain_has_251_layers(folder: Path) -> None:
    parent = ""
    for number in range(249):
        name = f"volume-snap-deep{number:03d}.img"
        shutil.copyfile(folder / f"{ROOT}.meta", folder / f"{name}.meta")
        write_json(folder / f"{name}.meta", layer_meta(name, parent))
        write_layer(folder / name, HOLE * BLOCKS)
        parent = name
    change(folder, f"{ROOT}.meta", Parent=parent)


@damage("damaged", "layer-not-a-file")
def layer_is_a_symbolic_link(folder: Path) -> None:
    (folder / ROOT).rename(folder / "moved")
    (folder / ROOT).symlink_to("moved")


@damage("damaged", "layer-not-a-file")
def layer_is_a_pipe(folder: Path) -> None:
    """Opening it would wait for ever."""
    (folder / MIDDLE).unlink()
    os.mkfifo(folder / MIDDLE)


@damage("damaged", "layer-not-a-file")
def layer_is_a_directory(folder: Path) -> None:
    (folder / MIDDLE).unlink()
    (folder / MIDDLE).mkdir()


@damage("refused", "unrelated-layer")
def parent_was_lost(folder: Path) -> None:
    """Two layers make a chain that looks complete, and lacks the third."""
    change(folder, f"{MIDDLE}.meta", Parent="")


@damage("refused", "unrelated-layer")
def head_lost_its_parent(folder: Path) -> None:
    change(folder, f"{HEAD}.meta", Parent=None)


# Sizes


@damage("damaged", "layer-empty")
def layer_has_no_bytes(folder: Path) -> None:
    os.truncate(folder / MIDDLE, 0)


@damage("damaged", "layer-truncated")
def layer_is_cut_off_within_a_block(folder: Path) -> None:
    os.truncate(folder / MIDDLE, 150 * BLOCK + 100)


@damage("damaged", "layer-truncated")
def layer_is_cut_off_between_blocks(folder: Path) -> None:
    os.truncate(folder / ROOT, 150 * BLOCK)


@damage("damaged", "layer-truncated")
def layer_is_shorter_than_its_parent(folder: Path) -> None:
    os.truncate(folder / MIDDLE, 1024 * BLOCK)


@damage("refused", "layer-too-large")
def layer_is_longer_than_the_volume(folder: Path) -> None:
    for layer in (ROOT, MIDDLE):
        os.truncate(folder / layer, 2 * BLOCKS * BLOCK)
    os.truncate(folder / HEAD, 2 * BLOCKS * BLOCK)


@damage("refused", "head-size-differs")
def head_is_longer_than_the_volume(folder: Path) -> None:
    os.truncate(folder / HEAD, 2 * BLOCKS * BLOCK)


@damage("refused", "head-size-differs")
def volume_meta_has_an_older_size(folder: Path) -> None:
    change(folder, "volume.meta", Size=2 * BLOCKS * BLOCK)


# State


@damage("refused", "rebuilding")
def rebuild_did_not_finish(folder: Path) -> None:
    change(folder, "volume.meta", Rebuilding=True)


@damage("refused", "error")
def longhorn_marked_it_faulty(folder: Path) -> None:
    change(folder, "volume.meta", Error="i/o timeout")


@damage("refused", "backing-file")
def bottom_is_a_backing_image(folder: Path) -> None:
    change(folder, "volume.meta", BackingFilePath="/backing/image-1")


# Content


@damage("damaged", "no-extents")
def every_layer_is_one_hole(folder: Path) -> None:
    for layer in (ROOT, MIDDLE, HEAD):
        write_layer(folder / layer, HOLE * BLOCKS)


@damage("refused", "all-zero")
def every_layer_was_overwritten_with_zeros(folder: Path) -> None:
    write_layer(folder / ROOT, ZERO * 600 + HOLE * (BLOCKS - 600))
    write_layer(folder / MIDDLE, HOLE * BLOCKS)
    write_layer(folder / HEAD, HOLE * BLOCKS)


@damage("refused", "layer-zeroed")
def snapshot_was_overwritten_with_zeros(folder: Path) -> None:
    write_layer(folder / ROOT, ZERO * 600 + HOLE * (BLOCKS - 600))


@damage("refused", "holes-filled")
def copied_by_a_tool_that_fills_holes(folder: Path) -> None:
    """`scp`, `rsync` without -S, `cp --sparse=never`, `dd`: every layer becomes whole."""
    for layer in (ROOT, MIDDLE, HEAD):
        content = (folder / layer).read_bytes()
        (folder / layer).write_bytes(content)


@damage("refused", "holes-filled")
def one_snapshot_was_copied_by_a_tool_that_fills_holes(folder: Path) -> None:
    content = (folder / MIDDLE).read_bytes()
    (folder / MIDDLE).write_bytes(content)


# What is allowed, and said


@damage("usable with warnings", "parent-differs")
def volume_meta_has_a_stale_parent(folder: Path) -> None:
    change(folder, "volume.meta", Parent=ROOT)


@damage("usable with warnings", "layer-short")
def root_ends_early_at_a_size_that_longhorn_makes(folder: Path) -> None:
    """Nobody can tell this from a volume that was expanded: it is merged, with a warning."""
    write_layer(folder / ROOT, "A" * 512)
    write_layer(folder / MIDDLE, HOLE * 512)


@damage("usable", "layer-expanded")
def volume_was_expanded(folder: Path) -> None:
    name = f"volume-snap-expand-{BLOCKS * BLOCK}.img"
    (folder / MIDDLE).rename(folder / name)
    (folder / f"{MIDDLE}.meta").rename(folder / f"{name}.meta")
    change(folder, f"{HEAD}.meta", Parent=name)
    change(folder, "volume.meta", Parent=name)
    for layer in (name, ROOT):
        write_layer(folder / layer, "A" * 512)


@damage("usable", "dirty")
def power_was_cut(folder: Path) -> None:
    change(folder, "volume.meta", Dirty=True)


@damage("usable", "several-heads")
def crash_left_a_second_head(folder: Path) -> None:
    write_layer(folder / "volume-head-003.img", "Z" * BLOCKS)
    write_json(folder / "volume-head-003.img.meta", layer_meta("volume-head-003.img", ROOT))


@damage("usable", "branch")
def snapshot_lies_beside_the_chain(folder: Path) -> None:
    write_layer(folder / "volume-snap-other.img", "Z" * BLOCKS)
    write_json(folder / "volume-snap-other.img.meta", layer_meta("x", ROOT))


@damage("usable", "rebuild-leftover")
def purge_left_files(folder: Path) -> None:
    for name in ("volume-delta-000.img", "volume-snap-s9.img.snap_tmp", "volume.meta.tmp"):
        (folder / name).write_bytes(b"x")


@damage("usable", "stray-file")
def somebody_left_a_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("x")


@damage("usable", "revision-invalid")
def revision_counter_is_no_number(folder: Path) -> None:
    (folder / "revision.counter").write_bytes(b"x" * BLOCK)


@damage("usable", "encrypted")
def volume_is_encrypted(folder: Path) -> None:
    with (folder / HEAD).open("r+b") as file:
        file.write(b"LUKS\xba\xbe\x00\x02")
