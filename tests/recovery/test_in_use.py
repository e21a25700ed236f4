"""A replica that somebody works on is refused, and readers do no harm (LHR-046)."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.longhorn.recovery import (
    MergeOptions,
    RefusedError,
    Severity,
    Status,
    Verdict,
    inspect,
    merge,
    read_replica,
)
from components.longhorn.recovery.in_use import users_of
from tests.recovery.model.layers import make_replica

HEAD = "volume-head-001.img"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_replica(tmp_path / "pvc-0a1b2c3d-00000001", "AB", ".C")


@pytest.fixture
def writer(source: Path) -> Iterator[int]:
    """Another process that has the head open for writing."""
    program = f"f = open({str(source / HEAD)!r}, 'r+b'); print('open', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "open\n"
    yield process.pid
    process.communicate("\n", timeout=30)


def test_open_for_writing(source: Path, writer: int, tmp_path: Path) -> None:
    found = [finding for finding in inspect(read_replica(source)).findings if finding.code == "in-use"]
    assert [finding.file for finding in found] == [HEAD]
    assert f"process {writer} (python" in found[0].message
    with pytest.raises(RefusedError) as caught:
        merge(source, tmp_path / "image")
    assert caught.value.code == "in-use"
    assert "the content changes while it is read" in str(caught.value)
    result = merge(source, tmp_path / "image", MergeOptions(accepting=frozenset({"in-use"})))
    assert result.status is Status.WARNINGS


def test_open_for_reading_is_no_use(source: Path) -> None:
    with (source / HEAD).open("rb"):
        assert inspect(read_replica(source)).verdict is Verdict.USABLE


def test_locked(source: Path) -> None:
    with (source / HEAD).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = inspect(read_replica(source))
    assert [(f.code, f.message) for f in found.findings if f.code == "in-use"] == [
        ("in-use", f"process {os.getpid()} has locked it")
    ]


def test_processes_of_others_are_counted(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root their files cannot be listed: that is said, and no reason to refuse."""
    (tmp_path / "proc" / "1").mkdir(parents=True)
    real = os.listdir

    def listdir(path: str) -> list[str]:
        if str(path).endswith("/fd"):
            raise PermissionError
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    found = users_of([source / HEAD], proc=tmp_path / "proc", loops=tmp_path).findings([source / HEAD])
    assert [(finding.code, finding.severity) for finding in found] == [("in-use-unknown", Severity.NOTE)]


def test_a_loop_device_is_a_use(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "block" / "loop7" / "loop"
    folder.mkdir(parents=True)
    (folder / "backing_file").write_text(f"{source / HEAD}\n")
    found = users_of([source / HEAD], loops=tmp_path / "block").findings([source / HEAD])
    assert [finding.message for finding in found if finding.code == "in-use"] == ["/dev/loop7 is made of it"]


def test_broken_kernel_tables_do_not_matter(source: Path, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    for pid in ("12", "13"):
        (proc / pid / "fd").mkdir(parents=True)
        (proc / pid / "fd" / "3").symlink_to(source / HEAD)
    (proc / "12" / "fdinfo").mkdir()
    (proc / "12" / "fdinfo" / "3").write_text("pos:\t0\nflags:\t0100002\n")
    (proc / "locks").write_text("1: nonsense\n2: FLOCK ADVISORY WRITE 5 zz:zz:zz 0 EOF\n\n")
    found = users_of([source / HEAD], proc=proc, loops=tmp_path).findings([source / HEAD])
    assert [finding.message for finding in found] == ["process 12 (?) has it open for writing"]
    shutil.rmtree(proc)
    assert users_of([source / HEAD], proc=proc).findings([source / HEAD]) == []
