"""Killed anywhere, run again: the same image; and what is not complete never has the image's name (MRG-020, DEF-09)."""

import errno
import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.longhorn.recovery import (
    CancelledError,
    MergeOptions,
    Observer,
    Progress,
    RecoveryError,
    RefusedError,
    Status,
    copying,
    disk,
    inspect,
    merge,
    read_replica,
    reading,
    target,
)
from components.longhorn.recovery.extents import LayerFile
from components.longhorn.recovery.journal import Journal
from tests.recovery.model.layers import BLOCK, content, make_replica
from tests.recovery.model.witness import witness

POINTS, LONG_POINTS = 50, 500
STEPS = ["assessed", "planned", "journal", "opened", "copied", "verified", "described", "named"]
ROOT = "A.B0" * 60
HEAD = "...." * 30 + "..c." * 30
RIGHT = content("".join(new if new != "." else old for old, new in zip(ROOT, HEAD, strict=True)))
pytestmark = [
    pytest.mark.usefixtures("nobody_else"),
    # The child of a fork here does nothing but merge and die, and needs no other thread.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Killer(Observer):
    """Ends its own process, as the power does, at a step or after a number of events."""

    def __init__(self, step: str = "", event: int = 0) -> None:
        self.step_name, self.event, self.seen = step, event, 0

    def step(self, name: str) -> None:
        if name == self.step_name:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count()

    def progress(self, _progress: Progress) -> None:
        self._count()

    def _count(self) -> None:
        self.seen += 1
        if self.seen == self.event:
            os.kill(os.getpid(), signal.SIGKILL)


class KillerAtCheckpoint(Killer):
    """Ends its own process as soon as there is a checkpoint somewhere in the middle."""

    def __init__(self, image: Path) -> None:
        super().__init__()
        self.journal = image.with_name(f"{image.name}.journal")

    def progress(self, progress: Progress) -> None:
        time.sleep(0.002)  # for the thread that makes checkpoints
        noted = [json.loads(line) for line in self.journal.read_bytes().splitlines()[1:] if line]
        if progress.offset > 60 * BLOCK and len(noted) > 2:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads of a few blocks and as many checkpoints, where a real run has them of 1 MiB and after 256 MiB."""
    monkeypatch.setattr(reading, "LOAD_BYTES", 5 * BLOCK)
    monkeypatch.setattr(copying, "CHECKPOINT_BYTES", 7 * BLOCK)


@pytest.fixture
def source(fast_path: Path) -> Iterator[Path]:
    folder = make_replica(fast_path / "pvc-0a1b2c3d-00000001", ROOT, HEAD)
    before = witness(folder)
    yield folder
    assert witness(folder) == before


def merge_and_die(source: Path, image: Path, killer: Killer) -> bool:
    """Merge in a process of its own, and tell whether it was killed."""
    child = os.fork()
    if child == 0:
        merge(source, image, MergeOptions(overwrite=image.exists()), killer)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def leftovers(image: Path) -> set[str]:
    return {path.name.removeprefix(image.name) for path in image.parent.glob(f"{image.name}?*")}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step(step: str, source: Path, fast_path: Path) -> None:
    image = fast_path / "image"
    assert merge_and_die(source, image, Killer(step))
    assert image.exists() is (step == "named")
    result = merge(source, image)
    assert image.read_bytes() == RIGHT
    assert result.reused is (step == "named")
    assert leftovers(image) == {".manifest.json"}
    assert merge(source, image).reused


def test_the_steps_are_all_there_are(source: Path, fast_path: Path) -> None:
    seen: list[str] = []

    class Listener(Observer):
        def step(self, name: str) -> None:
            seen.append(name)

    merge(source, fast_path / "image", observer=Listener())
    assert seen == STEPS


def test_killed_at_random_points(source: Path, fast_path: Path, dice: random.Random, long_run: bool) -> None:
    """Twice in a row before it may finish; it goes on where it was, and the end is always the same."""
    counter = Killer()
    merge(source, fast_path / "counted", observer=counter)
    resumed = 0
    for number in range(LONG_POINTS if long_run else POINTS):
        image = fast_path / f"image{number}"
        for _ in range(2):
            if merge_and_die(source, image, Killer(event=dice.randint(1, counter.seen))):
                assert not image.exists() or image.read_bytes() == RIGHT
        result = merge(source, image)
        resumed += bool(result.resumed_at)
        assert image.read_bytes() == RIGHT
        assert leftovers(image) == {".manifest.json"}
        image.unlink()
    assert resumed >= 5


@pytest.mark.parametrize("spoil", ["cut", "changed", "gone", "journal cut", "journal of another", "stale blocks"])
def test_what_an_earlier_run_left_is_not_believed(spoil: str, source: Path, fast_path: Path) -> None:
    image = fast_path / "image"
    assert merge_and_die(source, image, KillerAtCheckpoint(image))
    partial, journal = image.with_name("image.partial"), image.with_name("image.journal")
    lines = [line for line in journal.read_bytes().splitlines() if line]
    assert 0 < json.loads(lines[-1])["position"] < len(RIGHT) - 20 * BLOCK
    if spoil == "cut":
        os.truncate(partial, 3 * BLOCK)
    elif spoil == "changed":
        with partial.open("r+b") as file:
            file.write(b"?" * 3 * BLOCK)
    elif spoil == "gone":
        partial.unlink()
    elif spoil == "journal cut":
        journal.write_bytes(b"\n".join(lines)[:-20])
    elif spoil == "journal of another":
        journal.write_bytes(b"\n".join([lines[0].replace(b'"mode"', b'"mood"'), *lines[1:]]))
    else:
        with partial.open("r+b") as file:
            file.seek(len(RIGHT) - 3 * BLOCK)
            file.write(b"?" * 3 * BLOCK)
    result = merge(source, image)
    assert image.read_bytes() == RIGHT
    assert bool(result.resumed_at) is (spoil in {"journal cut", "stale blocks"})


class CancelAfter(Observer):
    """Stops when so much is copied."""

    def __init__(self, blocks: int) -> None:
        self.limit, self.offset = blocks * BLOCK, 0

    def progress(self, progress: Progress) -> None:
        self.offset = progress.offset

    def cancelled(self) -> bool:
        return self.offset > self.limit


def test_cancelled_and_continued(source: Path, fast_path: Path) -> None:
    image = fast_path / "image"
    with pytest.raises(CancelledError):
        merge(source, image, observer=CancelAfter(120))
    assert not image.exists()
    result = merge(source, image)
    assert result.resumed_at > 0
    assert image.read_bytes() == RIGHT
    whole = merge(source, fast_path / "other")
    assert result.content == whole.content


def test_a_changed_source_begins_anew(fast_path: Path) -> None:
    source, image = make_replica(fast_path / "pvc-0a1b2c3d-00000001", ROOT, HEAD), fast_path / "image"
    assert merge_and_die(source, image, KillerAtCheckpoint(image))
    os.utime(source / "volume-head-001.img", (1, 1))
    assert merge(source, image).resumed_at == 0
    assert image.read_bytes() == RIGHT


def test_a_source_that_changes_meanwhile_is_an_error(fast_path: Path) -> None:
    source, image = make_replica(fast_path / "pvc-0a1b2c3d-00000001", ROOT, HEAD), fast_path / "image"

    class Writer(Observer):
        def step(self, name: str) -> None:
            if name == "planned":
                os.utime(source / "volume-head-001.img", (1, 1))

    with pytest.raises(RecoveryError) as caught:
        merge(source, image, observer=Writer())
    assert (caught.value.code, caught.value.status) == ("source-changed", Status.FAILED)
    assert not image.exists()


def test_two_merges_never_write_to_one_image(source: Path, fast_path: Path) -> None:
    journal = Journal(fast_path / "image.journal")
    with pytest.raises(RefusedError) as caught:
        merge(source, fast_path / "image")
    journal.close()
    assert caught.value.code == "merge-running"
    merge(source, fast_path / "image")


def test_a_full_disk_is_told_before_and_survived_after(
    source: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEF-10."""
    image, real = fast_path / "image", target._write_at
    written = 0

    def full(fd: int, offset: int, data: memoryview) -> None:
        nonlocal written
        written += len(data)
        if written > 60 * BLOCK:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd, offset, data)

    with monkeypatch.context() as patched:
        patched.setattr(target, "_write_at", full)
        with pytest.raises(RecoveryError) as caught:
            merge(source, image)
    assert (caught.value.code, caught.value.status) == ("write-failed", Status.FAILED)
    assert not image.exists()
    with monkeypatch.context() as patched:
        nothing: Any = os.statvfs_result((BLOCK, BLOCK, 9, 1, 1, 9, 9, 9, 0, 255))
        patched.setattr(os, "statvfs", lambda _path: nothing)
        with pytest.raises(RefusedError) as refused:
            merge(source, fast_path / "other")
    assert refused.value.code == "no-space"
    assert merge(source, image).resumed_at > 0
    assert image.read_bytes() == RIGHT


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> range:
    """Two blocks of the root cannot be read."""
    bad, real = range(100 * BLOCK, 102 * BLOCK), LayerFile.fill

    def fill(self: LayerFile, offset: int, buffer: memoryview) -> None:
        if "snap" in self.path.name and offset < bad.stop and offset + len(buffer) > bad.start:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(self, offset, buffer)

    monkeypatch.setattr(LayerFile, "fill", fill)
    return bad


@pytest.mark.usefixtures("broken")
def test_a_read_error_ends_the_merge(source: Path, fast_path: Path) -> None:
    """MRG-026."""
    with pytest.raises(RecoveryError) as caught:
        merge(source, fast_path / "image")
    assert caught.value.code == "read-failed"
    assert "volume-snap-s0.img" in str(caught.value)
    assert "bytes at" in str(caught.value)
    assert not (fast_path / "image").exists()


def test_a_layer_that_cannot_be_read_at_all_is_told(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_self: LayerFile, _offset: int, _length: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(LayerFile, "read", read)
    found = inspect(read_replica(source))
    assert [(f.code, f.file) for f in found.findings] == [
        ("read-errors", "volume-head-001.img"),
        ("read-errors", "volume-snap-s0.img"),
    ]


def test_a_read_error_is_zeros_only_when_asked_and_is_listed(source: Path, fast_path: Path, broken: range) -> None:
    image = fast_path / "image"
    options = MergeOptions(zero_unreadable=True)
    with pytest.raises(CancelledError):
        merge(source, image, options, CancelAfter(120))
    result = merge(source, image, options)
    assert result.resumed_at > broken.stop, "what an interrupted run could not read is remembered"
    assert result.status is Status.WARNINGS
    assert [(piece.layer, piece.offset) for piece in result.unreadable] == [("volume-snap-s0.img", broken.start)]
    assert image.read_bytes() == RIGHT[: broken.start] + bytes(BLOCK) + RIGHT[broken.start + BLOCK :]
    manifest = json.loads((fast_path / "image.manifest.json").read_text())
    assert manifest["unreadable"][0]["reason"] == os.strerror(errno.EIO)
    assert merge(source, image, options).status is Status.WARNINGS, "an image that is found complete has them still"


def test_the_rate_limit_holds(source: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    result = merge(source, fast_path / "image", MergeOptions(rate=1 << 20))
    assert slept[-1] == pytest.approx(result.plan.total / (1 << 20))


def test_the_whole_image_is_hashed_when_asked(source: Path, fast_path: Path) -> None:
    image = fast_path / "image"
    options = MergeOptions(stream_sha256=True)
    with pytest.raises(CancelledError):
        merge(source, image, options, CancelAfter(120))
    result = merge(source, image, options)
    assert result.resumed_at
    assert result.content.stream_sha256 == hashlib.sha256(RIGHT).hexdigest()


def test_a_bad_disk_under_the_image_is_noticed(source: Path, fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def worn(fd: int, offset: int, buffer: memoryview, size: int) -> None:
        disk.fill(fd, offset, buffer, size)
        if offset <= 40 * BLOCK < offset + len(buffer):
            buffer[40 * BLOCK - offset + 1234] ^= 1

    monkeypatch.setattr("components.longhorn.recovery.target.fill", worn)
    with pytest.raises(RecoveryError) as caught:
        merge(source, fast_path / "image")
    assert (caught.value.code, caught.value.status) == ("image-differs", Status.DAMAGED)
    assert not (fast_path / "image").exists()
