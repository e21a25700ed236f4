"""What a dead run left is cleared; a live run is never touched."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import healing, processes, state_copies
from cli.errors import CommandError
from cli.forks import RUN_VARIABLE, new_mark
from cli.session import Session
from cli.stack import Stack
from sandbox.processes import ProcessId
from tests.support.waiting import until
from toolchain.engine_home import EngineHome, PluginSet

STACK = "home"


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    folder = tmp_path / "backend"
    (folder / ".pulumi/stacks/factory").mkdir(parents=True)
    (folder / ".pulumi/locks/organization/factory" / STACK).mkdir(parents=True)
    return folder


@pytest.fixture
def session(backend: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("FACTORY_STATE", str(tmp_path / "state"))
    stack = Stack(STACK, tmp_path / "Pulumi.home.yaml", "sandbox", embedded=True, config={})
    home = EngineHome(Path("pulumi"), PluginSet.LOCAL, {})
    return Session(stack, home, {"PULUMI_BACKEND_URL": backend.as_uri()})


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A live process that does nothing, with the mark of a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, RUN_VARIABLE: "a-mark"}
    )
    yield process
    process.kill()
    process.wait()


def said(line: str, lines: list[str]) -> bool:
    return any(line in one for one in lines)


def lock(backend: Path, **changes: Any) -> Path:
    """Write a lock as the engine does, with its note; by default of a process that is dead."""
    holder = {
        "pid": dead_pid(),
        "username": "somebody",
        "hostname": socket.gethostname(),
        "timestamp": "2026-01-02T03:04:05.123456789+01:00",
    } | changes
    file = locks(backend) / "0c0ffee0.json"
    file.write_text(json.dumps(holder))
    file.with_name(file.name + ".attrs").write_text("{}")
    return file


def locks(backend: Path) -> Path:
    return backend / ".pulumi/locks/organization/factory" / STACK


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


def clear(session: Session) -> list[str]:
    lines: list[str] = []
    healing.clear_dead_run(session, lines.append)
    return lines


def test_the_lock_of_a_dead_process_is_cleared_with_all_its_files(session: Session, backend: Path) -> None:
    file = lock(backend)
    (locks(backend) / "1.json.88aa.tmp").write_text("{")
    assert said("clearing the lock of a dead run", clear(session))
    assert not file.exists()
    assert list(locks(backend).iterdir()) == []


def test_a_reused_process_number_is_no_holder(
    session: Session, backend: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    lock(backend, pid=sleeper.pid)  # the lock is older than the process
    assert said(f"(process {sleeper.pid})", clear(session))
    assert list(locks(backend).iterdir()) == []
    assert sleeper.poll() is None


def test_a_live_holder_is_named_and_kept(session: Session, backend: Path, sleeper: subprocess.Popen[bytes]) -> None:
    file = lock(backend, pid=sleeper.pid, timestamp=now())
    with pytest.raises(CommandError, match=f"locked by a live run.*process {sleeper.pid}") as refused:
        clear(session)
    assert refused.value.status == 1
    assert file.exists()
    assert sleeper.poll() is None


def test_a_live_engine_holds_its_lock_whatever_the_clocks_say(session: Session, backend: Path, tmp_path: Path) -> None:
    """A clock that was set meanwhile makes it look younger than its lock."""
    engine = tmp_path / "pulumi"
    shutil.copy("/bin/sleep", engine)
    with subprocess.Popen([engine, "60"]) as process:
        until(lambda: processes.name_of(process.pid) == "pulumi")
        file = lock(backend, pid=process.pid)
        with pytest.raises(CommandError, match="locked by a live run"):
            clear(session)
        process.kill()
    assert file.exists()
    assert said("clearing the lock of a dead run", clear(session))


def test_what_another_stack_is_writing_stays(session: Session, backend: Path) -> None:
    """Its name may begin with this one's and a dot."""
    folder = backend / ".pulumi/stacks/factory"
    folder.mkdir(parents=True, exist_ok=True)
    mine, theirs = folder / f"{STACK}.json.18ea0b6f.tmp", folder / f"{STACK}.test.json.18ea0b6f.tmp"
    note = folder / f"{STACK}.test.json.attrs"
    for file in (mine, theirs, note):
        file.write_text("{")
    clear(session)
    healing.mend_state_files(session)
    assert (mine.exists(), theirs.exists(), note.exists()) == (False, True, True)


def test_a_lock_of_another_machine_is_kept(session: Session, backend: Path) -> None:
    file = lock(backend, hostname="another.example.test")
    with pytest.raises(CommandError, match=r"another\.example\.test"):
        clear(session)
    assert file.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"pid": 1}', '{"pid": "x", "hostname": "y"}', "\0\0"])
def test_a_lock_whose_writing_was_cut_off_is_cleared(session: Session, backend: Path, content: str) -> None:
    (locks(backend) / "2.json").write_text(content)
    assert said("clearing the lock", clear(session))
    assert list(locks(backend).iterdir()) == []


def test_another_stacks_lock_is_not_touched(session: Session, backend: Path) -> None:
    other = locks(backend).with_name("other") / "3.json"
    other.parent.mkdir()
    other.write_text("")
    assert clear(session) == []
    assert other.exists()


def test_a_shared_backend_is_left_to_the_engine(session: Session, backend: Path) -> None:
    file = lock(backend)
    session.exports["PULUMI_BACKEND_URL"] = "s3://states.example.test"
    assert clear(session) == []
    assert file.exists()


def test_processes_of_a_dead_run_are_ended_and_it_is_forgotten(
    session: Session, sleeper: subprocess.Popen[bytes]
) -> None:
    file = remember(session, owner=None)
    assert said("ending 1 processes", clear(session))
    assert sleeper.wait(timeout=60) == -signal.SIGTERM
    assert not file.exists()


def test_a_live_preview_hinders_nobody(session: Session, sleeper: subprocess.Popen[bytes]) -> None:
    file = remember(session, owner=ProcessId.of(sleeper.pid))
    assert clear(session) == []
    assert sleeper.poll() is None
    assert file.exists()


@pytest.mark.parametrize("content", ["", "{", '{"mark": 1}'])
def test_a_note_of_a_run_that_never_began_is_forgotten(session: Session, content: str) -> None:
    file = remember(session, owner=None)
    file.write_text(content)
    assert clear(session) == []
    assert not file.exists()


def test_a_run_leaves_no_process_of_its_own_behind(session: Session) -> None:
    with healing.marked(STACK, new_mark()) as (mark, changes):
        changes.touch()
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ | mark)
        assert len(processes.carrying(RUN_VARIABLE, mark[RUN_VARIABLE])) == 1
    assert left.wait(timeout=60) < 0
    assert list(changes.parent.iterdir()) == []
    assert clear(session) == []


def test_what_a_killed_run_wrote_goes_with_its_note(session: Session) -> None:
    note = remember(session, owner=None)
    with healing.planned(STACK) as plan:
        note.with_suffix(".changes").write_text("{}")
        plan.write_text("{}")
        clear(session)
        assert list(note.parent.iterdir()) == []


def test_cut_off_notes_and_writes_beside_the_state_go_the_state_stays(session: Session, backend: Path) -> None:
    folder = backend / ".pulumi/stacks/factory"
    state, whole = folder / "home.json", folder / "home.json.bak.attrs"
    state.write_text("{}")
    whole.write_text('{"user.content_type": "application/json"}')
    broken = [folder / "home.json.attrs", folder / "home.pulumi-tags.attrs", backend / ".pulumi/meta.yaml.attrs"]
    for note in broken:
        note.write_text("")
    other = folder / "homer.json.attrs"
    other.write_text("")
    half = folder / "home.json.18ea0b6f.tmp"
    half.write_text('{"half')
    clear(session)
    healing.mend_state_files(session)
    assert not half.exists()
    assert not any(note.exists() for note in broken)
    assert state.exists()
    assert whole.exists()
    assert other.exists()


@pytest.mark.parametrize("content", ["", '{"version": 3, "checkp', "[]", "{}", "\0\0", "[" * 100_000])
def test_a_damaged_state_is_named_with_the_way_back(session: Session, backend: Path, content: str) -> None:
    healing.refuse_damaged_state(session)  # there is none yet
    file = backend / ".pulumi/stacks/factory/home.json"
    file.write_text(content)
    file.with_name("home.json.bak").write_text(content)
    with pytest.raises(CommandError, match=re.escape(f"{file}.bak")) as refused:
        healing.refuse_damaged_state(session)
    assert str(refused.value).startswith(f"the state of stack 'home' is damaged, so nothing was changed: {file}: ")
    state_copies.keep(STACK, {})
    newest = state_copies.keep(STACK, {})
    with pytest.raises(CommandError, match=re.escape(f"`./factory pulumi home -- stack import --file {newest}`")):
        healing.refuse_damaged_state(session)
    file.write_text('{"version": 3, "checkpoint": {}}')
    healing.refuse_damaged_state(session)


@pytest.mark.parametrize("content", ["", '{"version": 3, "checkp'])
def test_the_state_one_step_before_takes_the_place_of_a_damaged_one(
    session: Session, backend: Path, content: str
) -> None:
    file = backend / ".pulumi/stacks/factory/home.json"
    before, note = file.with_name("home.json.bak"), file.with_name("home.json.attrs")
    whole = '{"version": 3, "checkpoint": {"step": "before"}}'
    for cut_off in (file, note):
        cut_off.write_text(content)
    before.write_text(whole)
    state_copies.keep(STACK, {})
    with pytest.raises(CommandError, match=re.escape(f"goes on from the one before it, {before}")):
        healing.refuse_damaged_state(session)  # a preview changes nothing
    assert said(f"going on from {before}, the state one step before: {file} is damaged (no JSON", clear(session))
    healing.refuse_damaged_state(session)
    assert file.read_text() == whole
    assert not note.exists()
    assert clear(session) == []


def test_a_whole_state_stays(session: Session, backend: Path) -> None:
    file = backend / ".pulumi/stacks/factory/home.json"
    file.write_text('{"version": 3, "checkpoint": {"step": "last"}}')
    file.with_name("home.json.bak").write_text('{"version": 3, "checkpoint": {"step": "before"}}')
    assert clear(session) == []
    assert "last" in file.read_text()


def test_a_folder_is_no_state(session: Session, backend: Path) -> None:
    file = backend / ".pulumi/stacks/factory/home.json"
    file.mkdir()
    before = file.with_name("home.json.bak")
    before.write_text('{"version": 3, "checkpoint": {}}')
    assert clear(session) == [], "what cannot be read may be whole"
    assert before.exists()
    with pytest.raises(CommandError, match=r"home\.json: Is a directory"):
        healing.refuse_damaged_state(session)


def remember(session: Session, *, owner: ProcessId | None) -> Path:
    """Write the note of a run whose processes carry `a-mark`."""
    folder = Path(os.environ["FACTORY_STATE"], "runs", session.stack.name)
    folder.mkdir(parents=True)
    file = folder / "a-mark.json"
    file.write_text(healing.Run(mark="a-mark", owner=owner).model_dump_json())
    return file
