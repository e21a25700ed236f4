"""What status tells from the record alone, and how failures become one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import status
from sandbox.daemon import describe
from sandbox.errors import SandboxError
from sandbox.layout import Layout
from sandbox.processes import ProcessId
from sandbox.record import BackendRecord, BackendState, Phase, Record
from sandbox.status import SandboxState

ROOT = Path(status.__file__).resolve().parent.parent


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def alive() -> ProcessId:
    identity = ProcessId.of(os.getpid())
    assert identity
    return identity


@pytest.fixture
def dead(alive: ProcessId) -> ProcessId:
    return alive.model_copy(update={"started_ticks": 1})


def save(layout: Layout, supervisor: ProcessId, phase: Phase, **backends: BackendRecord) -> None:
    Record(supervisor=supervisor, phase=phase, backends=backends).save(layout.record)


def test_nothing_there_is_stopped(layout: Layout) -> None:
    found = status.read(layout)
    assert (found.state, found.note) == (SandboxState.STOPPED, "")
    assert [backend.backend for backend in found.backends] == list(status.BACKENDS)


@pytest.mark.parametrize("content", ["", "{", '{"supervisor": 1}', "\0" * 40])
def test_a_record_damaged_by_a_power_cut_is_no_record(layout: Layout, content: str) -> None:
    layout.record.write_text(content)
    assert status.read(layout).state is SandboxState.STOPPED


def test_a_dead_supervisor_is_told(layout: Layout, dead: ProcessId) -> None:
    save(layout, dead, Phase.READY)
    assert "the supervisor died" in status.read(layout).note


def test_why_the_last_start_failed_is_told(layout: Layout, dead: ProcessId) -> None:
    Record(supervisor=dead, phase=Phase.FAILED, error="vault ended by itself").save(layout.record)
    assert status.read(layout).note == "vault ended by itself"


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.STARTING, SandboxState.STARTING),
        (Phase.READY, SandboxState.RUNNING),
        (Phase.STOPPING, SandboxState.STOPPING),
    ],
)
def test_the_phase_is_the_state(layout: Layout, alive: ProcessId, phase: Phase, expected: SandboxState) -> None:
    save(layout, alive, phase, vault=BackendRecord(process=alive, state=BackendState.READY))
    assert status.read(layout).state is expected


def test_a_backend_whose_process_is_gone_has_crashed_whatever_the_record_says(
    layout: Layout, alive: ProcessId, dead: ProcessId
) -> None:
    save(
        layout,
        alive,
        Phase.READY,
        vault=BackendRecord(process=dead, state=BackendState.READY),
        etcd=BackendRecord(process=alive, state=BackendState.READY, address="https://127.0.0.1:4"),
    )
    found = status.read(layout)
    assert found.state is SandboxState.DEGRADED
    by_name = {backend.backend: backend for backend in found.backends}
    assert (by_name["vault"].state, by_name["vault"].pid) == (BackendState.CRASHED, None)
    assert (by_name["etcd"].state, by_name["etcd"].address) == (BackendState.READY, "https://127.0.0.1:4")
    assert found.memory_bytes > 0


@pytest.mark.parametrize("missing", ["pgbouncer", "sshd"])
def test_what_a_missing_backend_leaves_uncovered_is_named(layout: Layout, alive: ProcessId, missing: str) -> None:
    ready = BackendRecord(process=alive, state=BackendState.READY)
    backends = {"postgres": ready, "pgbouncer": ready, "sshd": ready}
    save(layout, alive, Phase.READY, **backends)
    assert status.read(layout).uncovered == ()
    del backends[missing]
    save(layout, alive, Phase.READY, **backends)
    (uncovered,) = status.read(layout).uncovered
    assert missing in uncovered


def test_a_failure_of_many_tasks_is_told_by_its_cause() -> None:
    inner = ExceptionGroup("inner", [ValueError("x"), SandboxError("vault ended")])
    assert describe(ExceptionGroup("outer", [OSError("y"), inner])) == "vault ended"
    assert describe(ExceptionGroup("outer", [ValueError("x")])) == "unexpected ValueError: x"


@pytest.mark.parametrize("arguments", [[], ["start"], ["supervise", "now"]])
def test_the_daemon_tells_people_which_command_to_use(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, input=""
    )
    assert (done.returncode, "./factory sandbox start" in done.stderr) == (2, True)
