"""Images read without mounting: what `verify` says, `list` shows and `extract` copies, and which files a range hits."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.longhorn.recovery import BadInputError, RecoveryError, Status, image
from components.longhorn.recovery.command_line import main
from components.longhorn.recovery.image_affected import affected_files
from components.longhorn.recovery.image_detect import FileSystem, identify, partitions
from components.longhorn.recovery.image_ext4 import Ext4
from components.longhorn.recovery.image_journal import overlay, replayed
from components.longhorn.recovery.image_superblock import ImageError

MIB = 1 << 20


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    assert found, f"{name} (e2fsprogs) is not installed"
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    dice = random.Random(7)
    (root / "empty").touch()
    (root / "database.sqlite").write_bytes(dice.randbytes(700_000))
    (root / "tiny").write_bytes(b"x" * 40)
    many = root / "many"
    many.mkdir()
    for number in range(400):
        (many / f"file-{number:04}-with-a-rather-long-name").write_text(str(number))
    deep = root / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "ünïcode ☃").write_bytes(b"snow")
    (root / "short-link").symlink_to("database.sqlite")
    (root / "long-link").symlink_to("a/b/c/" + "../c/" * 20 + "ünïcode ☃")
    os.link(root / "tiny", root / "same-as-tiny")
    with (root / "holes").open("wb") as file:
        file.truncate(2 * MIB)
        file.seek(MIB)
        file.write(b"in the middle")
    (root / "script").write_text("#!/bin/sh\n")
    (root / "script").chmod(0o750)
    return root


KINDS: dict[str, list[str]] = {
    "ext4": ["-t", "ext4"],
    "ext4 with small blocks": ["-t", "ext4", "-b", "1024"],
    "ext4 with inline data": ["-t", "ext4", "-O", "inline_data", "-I", "256"],
    "ext4 with groups of descriptors": ["-t", "ext4", "-O", "meta_bg,^resize_inode", "-b", "1024"],
    "ext4 of 32 bits": ["-t", "ext4", "-O", "^64bit"],
    "ext3": ["-t", "ext3"],
    "ext2": ["-t", "ext2", "-b", "1024"],
}


def make(path: Path, tree: Path, *options: str, size: str = "24M") -> Path:
    command = [tool("mke2fs"), "-q", "-F", *options, "-d", str(tree), str(path), size]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def volume(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("image") / "volume.img", tree, "-t", "ext4", "-L", "data")


def contents(root: Path) -> dict[str, tuple[str, bytes | str, int]]:
    """What is below a folder: kind, content or target, mode."""
    found: dict[str, tuple[str, bytes | str, int]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()), 0)
        elif path.is_dir():
            found[name] = ("directory", "", 0)
        else:
            found[name] = ("file", path.read_bytes(), path.stat().st_mode & 0o777)
    found.pop("lost+found", None)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_everything_comes_out_as_it_went_in(kind: str, tree: Path, tmp_path: Path) -> None:
    path = make(tmp_path / "volume.img", tree, *KINDS[kind])
    done = image.extract(path, ["/"], tmp_path / "out")
    assert done.skipped == ()
    found, expected = contents(tmp_path / "out"), contents(tree)
    if "inline" in kind:  # mke2fs itself drops the hole at the end of a file there
        assert found.pop("holes")[1] in expected.pop("holes")[1]  # type: ignore[operator]
    assert found == expected


def test_one_file_out_of_many(volume: Path, tree: Path, tmp_path: Path) -> None:
    done = image.extract(volume, ["/short-link", "a/b/c/ünïcode ☃", "many"], tmp_path)
    assert (done.files, done.directories) == (402, 1)
    assert (tmp_path / "short-link").read_bytes() == (tree / "database.sqlite").read_bytes()
    assert (tmp_path / "ünïcode ☃").read_bytes() == b"snow"
    assert (tmp_path / "many" / "file-0399-with-a-rather-long-name").read_text() == "399"


def test_nothing_that_exists_is_overwritten(volume: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("mine")
    done = image.extract(volume, ["/tiny"], tmp_path)
    assert (tmp_path / "tiny").read_text() == "mine"
    assert done.files == 0
    assert done.skipped == ("/tiny: File exists",)


def test_a_link_in_the_target_is_not_followed(volume: Path, tmp_path: Path) -> None:
    """A directory of the image must not be written through a link that leads out of the target."""
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (target / "many").symlink_to(outside)
    done = image.extract(volume, ["/many"], target)
    assert list(outside.iterdir()) == []
    assert done.skipped == ("/many: a link of the same name is there already",)


def test_the_listing_agrees_with_debugfs(volume: Path) -> None:
    listed = {item.path: item for item in image.listing(volume)}
    said = subprocess.run(
        [tool("debugfs"), "-R", "ls -p /many", str(volume)], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split("/")[5] for line in said.splitlines() if line.count("/") >= 6} - {".", ".."}
    assert {Path(path).name for path in listed if path.startswith("/many/")} == names
    assert len(names) == 400
    assert listed["/long-link"].target.endswith("ünïcode ☃")
    assert listed["/database.sqlite"].size == 700_000


@pytest.mark.parametrize("wanted", ["/nothing", "/database.sqlite/x", "/a/b/c/d"])
def test_a_path_that_is_not_there_names_the_missing_part(wanted: str, volume: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"there is no|not a directory"):
        image.extract(volume, [wanted], tmp_path)


def test_verify_reports_state_journal_and_root(volume: Path) -> None:
    report = image.verify(volume)
    assert report.sound
    assert len(report.file_systems) == 1
    found = report.file_systems[0]
    assert (found.kind, found.label, found.journal, found.unmounted_cleanly) == ("ext", "data", "clean", True)
    assert found.check.verdict == "clean"
    assert "database.sqlite" in found.root
    assert found.size == 24 * MIB


def journaled(volume: Path, tmp_path: Path) -> tuple[Path, int, bytes]:
    """An image whose newest change to a block is in the journal alone, as after a power cut."""
    path = tmp_path / "dirty.img"
    shutil.copyfile(volume, path)
    with image.open_image(path) as (read, _size):
        system = Ext4(read)
        place = next(piece.place for piece in system.pieces(system.find("/tiny")) if piece.place)
        size = system.superblock.block_size
    block = place // size
    # The first bytes are the journal's own magic number: such a block is escaped in the log.
    new = struct.pack(">I", 0xC03B3998) + b"newer" * 7 + bytes(size)
    (tmp_path / "block").write_bytes(new[:size])
    commands = f"jo\njw -b {block} {tmp_path}/block\njc\n"
    subprocess.run(
        [tool("debugfs"), "-w", "-f", "-", str(path)], input=commands, text=True, check=True, capture_output=True
    )
    return path, block, new[:40]


def test_what_only_the_journal_holds_is_read(volume: Path, tmp_path: Path) -> None:
    """LHR-059: without the replay the file would have its older content."""
    path, block, newest = journaled(volume, tmp_path)
    before = path.read_bytes()
    with image.open_image(path) as (read, _size):
        raw = Ext4(read)
        assert raw.superblock.needs_replay
        assert raw.content(raw.find("/tiny")) == b"x" * 40
        system, replay = replayed(raw)
        assert block in replay.blocks
        assert system.content(system.find("/tiny")) == newest
    report = image.verify(path)
    assert report.file_systems[0].journal == "needs replay"
    assert report.file_systems[0].replayed_transactions >= 1
    image.extract(path, ["/tiny"], tmp_path / "out")
    assert (tmp_path / "out" / "tiny").read_bytes() == newest
    assert path.read_bytes() == before


def test_a_replay_equals_that_of_e2fsck(volume: Path, tmp_path: Path) -> None:
    path, block, newest = journaled(volume, tmp_path)
    repaired = tmp_path / "repaired.img"
    shutil.copyfile(path, repaired)
    subprocess.run([tool("e2fsck"), "-fy", str(repaired)], check=False, capture_output=True)
    with image.open_image(repaired) as (read, _size):
        assert read(block * Ext4(read).superblock.block_size, 40) == newest


def test_an_overlay_lies_exactly_on_its_blocks(dice: random.Random) -> None:
    below = dice.randbytes(40 * 16)
    blocks = {number: dice.randbytes(16) for number in dice.sample(range(40), 9)}
    whole = bytearray(below)
    for number, content in blocks.items():
        whole[number * 16 : number * 16 + 16] = content
    read = overlay(lambda offset, length: below[offset : offset + length], blocks, 16)
    for _ in range(300):
        offset, length = dice.randrange(len(below)), dice.randrange(90)
        assert read(offset, length) == bytes(whole[offset : offset + length])


def damaged(volume: Path, tmp_path: Path, change: Callable[[bytearray], None]) -> Path:
    content = bytearray(volume.read_bytes())
    change(content)
    path = tmp_path / "damaged.img"
    path.write_bytes(content)
    return path


def _cut(content: bytearray) -> None:
    del content[8 * MIB :]


def _no_superblock(content: bytearray) -> None:
    content[1024:2048] = bytes(1024)


def _no_inodes(content: bytearray) -> None:
    content[4096 : 2 * MIB] = b"\xff" * (2 * MIB - 4096)


def _zeros(content: bytearray) -> None:
    content[:] = bytes(len(content))


@pytest.mark.parametrize("change", [_cut, _no_superblock, _no_inodes, _zeros], ids=lambda change: change.__name__)
def test_a_damaged_image_is_not_called_sound(change: Callable[[bytearray], None], volume: Path, tmp_path: Path) -> None:
    report = image.verify(damaged(volume, tmp_path, change))
    assert not report.sound
    assert any(item.problems for item in report.file_systems)


def _nothing(_content: bytearray) -> None:
    """The volume as it is."""


@pytest.mark.parametrize(
    ("change", "verdict", "files"),
    [
        (_nothing, Status.RECOVERED, Status.RECOVERED),
        (_cut, Status.DAMAGED, Status.WARNINGS),
        (_no_superblock, Status.DAMAGED, Status.BAD_INPUT),
        (_no_inodes, Status.DAMAGED, Status.BAD_INPUT),
        (_zeros, Status.DAMAGED, Status.BAD_INPUT),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_copied_out_of_a_damaged_image_is_no_clean_success(
    change: Callable[[bytearray], None], verdict: Status, files: Status, volume: Path, tmp_path: Path
) -> None:
    path = damaged(volume, tmp_path, change)
    assert main(["verify", "--no-fsck", str(path)]) == verdict
    assert main(["extract", str(path), "/tiny", "--to", str(tmp_path / "out")]) == files


def test_a_journal_that_is_not_replayed_whole_is_told_by_both(volume: Path, tmp_path: Path) -> None:
    path, _block, _newest = journaled(volume, tmp_path)
    content = bytearray(path.read_bytes())
    log = content.index(struct.pack(">III", 0xC03B3998, 4, 0))
    content[log + 0x28 + 3] |= 0x20  # s_feature_incompat: fast commits
    path.write_bytes(content)
    assert main(["verify", "--no-fsck", str(path)]) == Status.DAMAGED
    assert main(["extract", str(path), "/tiny", "--to", str(tmp_path / "out")]) == Status.WARNINGS


def test_an_encrypted_volume_is_not_called_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GLK-028: a scan calls it usable, and nothing is wrong with it but that its passphrase is not here."""
    path = tmp_path / "volume.img"
    path.write_bytes(b"LUKS\xba\xbe\0\2" + bytes(MIB))
    assert main(["verify", str(path)]) == Status.WARNINGS
    assert "passphrase" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["verify"], ["list"], ["extract", "/"]])
def test_an_unfinished_image_is_no_image(
    command: list[str], volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The part of a merge that was interrupted may well begin with a good file system."""
    path = tmp_path / "volume.img.partial"
    shutil.copyfile(volume, path)
    assert main([command[0], str(path), *command[1:]]) == Status.BAD_INPUT
    assert "a merge was interrupted here" in capsys.readouterr().err


def read_all(path: Path) -> None:
    """Everything that `verify`, `list` and `extract` read, without writing it down."""
    image.verify(path, run_checker=False)
    image.listing(path)
    with image.open_image(path) as (read, _size):
        system = replayed(Ext4(read))[0]
        for _path, inode in system.walk():
            for _offset, part in system.chunks(inode) if inode.is_file else ():
                assert part


def test_noise_gives_a_message_and_never_anything_else(
    volume: Path, fast_path: Path, dice: random.Random, long_run: bool
) -> None:
    original = volume.read_bytes()
    # Where the structures are: superblock, descriptors, the first inodes, the root and other directories.
    places = [*range(1024, 2048), *range(4096, 4096 + 512)] + [dice.randrange(4096, 3 * MIB) for _ in range(3000)]
    path, stopped = fast_path / "noise.img", 0
    for _ in range(3000 if long_run else 60):
        content = bytearray(original)
        for _ in range(dice.choice([1, 4, 40, 400])):
            content[dice.choice(places)] = dice.randrange(256)
        path.write_bytes(content)
        try:
            read_all(path)
        except RecoveryError as error:
            stopped += bool(str(error))
    assert stopped > 0


@pytest.mark.parametrize(
    ("place", "signature", "kind"),
    [(0, b"XFSB", FileSystem.XFS), (0, b"LUKS\xba\xbe\0\2", FileSystem.LUKS), (65600, b"_BHRfS_M", FileSystem.BTRFS)],
)
def test_other_contents_are_named_and_not_read(place: int, signature: bytes, kind: FileSystem, tmp_path: Path) -> None:
    path = tmp_path / "volume.img"
    path.write_bytes(bytes(place) + signature + bytes(MIB))
    assert image.verify(path).file_systems[0].kind == kind.value
    with pytest.raises(BadInputError, match="only ext2, ext3 and ext4"):
        image.extract(path, ["/"], tmp_path / "out")


def test_the_checker_of_xfs_is_run_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "volume.img"
    path.write_bytes(b"XFSB" + bytes(MIB))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "xfs_repair").write_text('#!/bin/sh\necho "asked: $*"\nexit 1\n')
    (programs / "xfs_repair").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    check = image.verify(path).file_systems[0].check
    assert (check.tool, check.verdict, check.detail) == ("xfs_repair", "damaged", f"asked: -n {path}")


def test_partitions_are_found_and_chosen(volume: Path, tmp_path: Path) -> None:
    content = volume.read_bytes()
    table = bytearray(MIB)
    for number, start in enumerate((2048, 2048 + len(content) // 512)):
        entry = struct.pack("<B3xB3xII", 0, 0x83, start, len(content) // 512)
        table[446 + 16 * number : 462 + 16 * number] = entry
    table[510:512] = b"\x55\xaa"
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(table) + content + content)
    report = image.verify(path)
    assert [(item.partition, item.offset, item.kind) for item in report.file_systems] == [
        (1, MIB, "ext"),
        (2, MIB + len(content), "ext"),
    ]
    assert [item.check.verdict for item in report.file_systems] == ["clean", "clean"]
    with pytest.raises(BadInputError, match="--partition"):
        image.listing(path)
    image.extract(path, ["/tiny"], tmp_path / "out", partition=2)
    assert (tmp_path / "out" / "tiny").read_bytes() == b"x" * 40


def test_a_gpt_is_read(volume: Path) -> None:
    content = volume.read_bytes()
    entry = b"\x01" * 16 + bytes(16) + struct.pack("<QQ", 2048, 2048 + len(content) // 512 - 1) + bytes(80)
    header = bytearray(512)
    header[:8] = b"EFI PART"
    header[72:88] = struct.pack("<QII", 2, 4, 128)
    protective = bytearray(512)
    protective[450] = 0xEE
    protective[510:512] = b"\x55\xaa"
    disk = bytes(protective) + bytes(header) + entry.ljust(512, b"\0")
    disk = disk.ljust(MIB, b"\0") + content
    found = partitions(lambda offset, length: disk[offset : offset + length], len(disk))
    assert [(item.number, item.offset, item.size, item.file_system) for item in found] == [
        (1, MIB, len(content), FileSystem.EXT)
    ]


def test_zeros_are_empty_and_not_unknown() -> None:
    assert identify(lambda _offset, length: bytes(length)) is FileSystem.EMPTY
    assert identify(lambda _offset, length: b"\x07" * length) is FileSystem.UNKNOWN


@pytest.mark.parametrize("path", ["nothing.img", "."])
def test_what_cannot_be_opened_says_so(path: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="merge"):
        image.verify(tmp_path / path)


def test_ranges_name_their_files(volume: Path) -> None:
    """What `compare` says about differing replicas: block -> inode -> path."""
    content = volume.read_bytes()

    def read(offset: int, length: int) -> bytes:
        return content[offset : offset + length]

    system = Ext4(read)
    piece = next(item for item in system.pieces(system.find("/database.sqlite")) if item.place)
    assert piece.place is not None
    found = affected_files(read, len(content), [(piece.place + 4096, 10)])
    assert (found.files, found.structures, found.note) == (("/database.sqlite",), (), "")
    tiny = next(item.place for item in system.pieces(system.find("/tiny")))
    assert tiny is not None
    names = affected_files(read, len(content), [(tiny, 1), (1024, 4)])
    assert names.files == ("/same-as-tiny", "/tiny")
    assert names.structures == ("superblock",)
    directory = next(item.place for item in system.pieces(system.find("/many")))
    assert directory is not None
    assert affected_files(read, len(content), [(directory, 1)]).files == ("/many/",)


def test_each_byte_of_the_volume_belongs_to_something(volume: Path, dice: random.Random) -> None:
    content = volume.read_bytes()
    for _ in range(20):
        start = dice.randrange(len(content) - 4096)
        found = affected_files(lambda offset, length: content[offset : offset + length], len(content), [(start, 4096)])
        assert found.files or found.structures, start
        assert not found.note


def test_ranges_in_what_cannot_be_read_are_a_note() -> None:
    found = affected_files(lambda _offset, length: b"\x07" * length, MIB, [(0, 4096)])
    assert found.files == ()
    assert "only ext2, ext3 and ext4" in found.note


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_mounted_image_shows_the_same(volume: Path, tmp_path: Path) -> None:
    """The kernel's own reader as the witness."""
    mount = tmp_path / "mount"
    mount.mkdir()
    subprocess.run(["mount", "-o", "loop,ro,noload", str(volume), str(mount)], check=True)
    try:
        image.extract(volume, ["/"], tmp_path / "out")
        assert contents(tmp_path / "out") == contents(mount)
    finally:
        subprocess.run(["umount", str(mount)], check=True)
