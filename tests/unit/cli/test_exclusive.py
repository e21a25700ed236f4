"""One run at a time changes a stack: the second is told who is first, and a dead one is in nobody's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.errors import CommandError
from cli.exclusive import alone, locked
from toolchain.paths import ROOT

STACK = "home"
_HOLD = f"""
import time
from cli.exclusive import alone
with alone({STACK!r}):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_STATE", str(tmp_path))
    return tmp_path


def test_the_second_is_told_who_is_first_until_that_one_is_gone() -> None:
    first = subprocess.Popen([sys.executable, "-c", _HOLD], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with (
            pytest.raises(CommandError, match=f"process {first.pid} on this machine, since 20") as refused,
            alone(STACK),
        ):
            pytest.fail("two at once")
        assert "nothing was changed; wait for it, or press Ctrl-C" in str(refused.value)
        assert refused.value.status == 1
        with alone("another"):
            pass
    finally:
        first.kill()
        first.communicate()
    with alone(STACK):
        pass


def test_a_failed_run_lets_the_next_one_in() -> None:
    with pytest.raises(RuntimeError, match="in mid-run"), alone(STACK):
        raise RuntimeError("in mid-run")
    with alone(STACK):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", "\0" * 9000])
def test_a_holder_that_has_not_said_yet_who_it_is(state: Path, content: str) -> None:
    with alone(STACK):
        (state / "runs" / STACK / "lock").write_text(content)
        with pytest.raises(CommandError, match=r"a live run \(on this machine\)") as refused, alone(STACK):
            pytest.fail("two at once")
    assert "None" not in str(refused.value)


def test_what_an_earlier_holder_noted_is_not_read_as_the_present_ones(state: Path) -> None:
    note = state / "runs" / STACK / "lock"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"pid": 1, "timestamp": "long ago", "more": "x" * 400}))
    with alone(STACK):
        assert json.loads(note.read_text())["pid"] == os.getpid()


def test_a_run_of_another_machine_is_placed_there() -> None:
    holder = {"pid": 7, "hostname": "desk.example.test", "timestamp": "2026-01-02T03:04:05Z"}
    assert "(process 7 on desk.example.test, since 2026-01-02T03:04:05Z)" in str(locked(STACK, holder))
