"""The flow's scripts beside programs that behave badly: what cannot be told is never taken for the good case."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from components.host.transport_local import LocalTransport
from components.longhorn.flow.decide_data import copy_outcome
from components.longhorn.flow.node_tools import FOREIGN, copy_into_device, format_device, run_long, script
from components.longhorn.flow.steps import Done, Stop
from components.longhorn.flow.system_clock import SystemClock
from components.longhorn.flow.transport_node import TransportNode
from tests.support.recovery_site import volume

UUID = "00000000-0000-4000-8000-00000000000a"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs are found before the machine's."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}:/usr/sbin:/sbin")
    return folder


def play(programs: Path, name: str, text: str) -> None:
    program = programs / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("status", "formats"), [(0, False), (2, True), (4, False), (8, False), (127, False)], ids=str)
def test_only_a_device_that_surely_carries_nothing_is_formatted(
    tmp_path: Path, programs: Path, status: int, formats: bool
) -> None:
    """INV-011: blkid prints nothing either when it finds several signatures, or when it fails."""
    device, marker = tmp_path / "device", tmp_path / "marker"
    device.touch()
    marker.write_text(UUID)
    play(programs, "blkid", f"exit {status}")
    play(programs, "mkfs.ext4", f"touch {tmp_path}/formatted")
    done = run(format_device(str(device), UUID, str(marker)))
    assert done.returncode == (0 if formats else FOREIGN), done.stderr
    assert (tmp_path / "formatted").exists() is formats
    # What it says was copied into the device of then goes with that device's content, and not before.
    assert marker.exists() is not formats


def copied(tmp_path: Path, programs: Path, rsync: str) -> str:
    """Run the copy between two folders that are already `mounted`, with ``rsync`` played by a script."""
    real = shutil.which("rsync")
    if real is None:
        pytest.skip("rsync is not installed")
    mounts = tmp_path / "mounts"
    for name in ("live", "source"):
        (mounts / name).mkdir(parents=True)
    for number in range(3):
        (mounts / "source" / f"file {number}").write_text(f"content {number}")
    play(programs, "blkid", f"echo {UUID}")
    for name, text in (("mountpoint", "exit 1"), ("mount", "exit 0"), ("umount", "exit 0"), ("e2fsck", "exit 0")):
        play(programs, name, text)
    play(programs, "rsync", rsync.replace("RSYNC", real))
    done = run(copy_into_device("/dev/none", "/none.img", str(mounts), UUID))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_copy_that_was_compared_counts(tmp_path: Path, programs: Path) -> None:
    outcome = copy_outcome(copied(tmp_path, programs, 'exec RSYNC "$@"'), volume())
    assert outcome == Done({"files": 3, "bytes": 27, "messages": []})


@pytest.mark.parametrize("status", [12, 20, 23, 127])
def test_a_copy_whose_comparison_failed_is_not_proven(tmp_path: Path, programs: Path, status: int) -> None:
    """LHR-119: a comparison that was killed names no difference either."""
    text = copied(tmp_path, programs, f'case "$1" in -n*) exit {status};; *) exec RSYNC "$@";; esac')
    outcome = copy_outcome(text, volume())
    assert isinstance(outcome, Stop)
    assert outcome.code == "copy-unproven"


def test_every_file_that_differs_counts_also_beyond_the_list(tmp_path: Path, programs: Path) -> None:
    """LHR-116: the limit is compared with their number, not with the length of a list that ends."""
    rsync = 'case "$1" in -n*) seq 1 2500; exit 23;; *) exit 23;; esac'
    text = copied(tmp_path, programs, rsync)
    outcome = copy_outcome(text, volume(max_unreadable_files=2000))
    assert isinstance(outcome, Stop)
    assert outcome.code == "unreadable-files"
    accepted = copy_outcome(text, volume())
    assert isinstance(accepted, Done)
    assert accepted.warnings[-1] == "not copied: 1500 more files"


def test_another_program_with_a_lost_job_s_number_is_not_waited_for(tmp_path: Path) -> None:
    """After a restart of the machine the number may be anybody's (LHR-182)."""
    node = TransportNode("node1", LocalTransport())
    try:
        command = script("once", "echo done")
        assert run_long(node, command, clock=SystemClock(), timeout=60, directory=str(tmp_path)).out == "done\n"
        job = next((tmp_path / "jobs").iterdir())
        (job / "status").unlink()
        (job / "pid").write_text(f"{os.getpid()}\n")
        assert run_long(node, command, clock=SystemClock(), timeout=60, directory=str(tmp_path)).out == "done\n"
    finally:
        node.close()
