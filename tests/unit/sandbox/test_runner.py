"""The processes of the backends: what is left of them when they are to end."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from sandbox.layout import Layout
from sandbox.processes import ProcessId
from sandbox.record import BackendState, Phase, Record
from sandbox.runner import Runner
from sandbox.service import Service
from tests.support.waiting import until

WAIT_SECONDS = 120


async def _stopped(layout: Layout, command: str, started: Path) -> None:
    """Run a command of the shell until it has made a file, and stop it."""
    runner = Runner(layout)
    await runner.spawn(Service("backend", ("/bin/sh", "-c", command)))
    await asyncio.to_thread(until, started.exists)
    runner.phase(Phase.STOPPING)
    async with asyncio.timeout(WAIT_SECONDS):
        await runner.stop([["backend"]])


def test_a_number_that_somebody_else_has_by_now_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path / "state")
    layout.make()

    async def crashed_and_stopped() -> None:
        runner = Runner(layout)
        await runner.spawn(Service("backend", ("/bin/sh", "-c", "exit 0")))
        await asyncio.to_thread(until, lambda: _crashed(layout))
        await runner.stop([["backend"]])

    with subprocess.Popen(["sleep", "300"]) as stranger:
        try:
            monkeypatch.setattr("sandbox.runner.with_descendants", lambda _pid: [stranger.pid])
            asyncio.run(crashed_and_stopped())
            assert stranger.poll() is None
        finally:
            stranger.kill()


def _crashed(layout: Layout) -> bool:
    record = Record.load(layout.record)
    return record is not None and record.backends["backend"].state is BackendState.CRASHED


def test_what_came_out_of_a_backend_ends_with_it(tmp_path: Path) -> None:
    """A session of the SSH server outlives the server and holds its output: nobody may wait for its end."""
    layout = Layout(tmp_path / "state")
    layout.make()
    child = tmp_path / "child"
    command = f"sleep 300 & echo $! >{child}.new; mv {child}.new {child}; exec sleep 300"
    asyncio.run(_stopped(layout, command, child))
    assert ProcessId.of(int(child.read_text())) is None
    record = Record.load(layout.record)
    assert record is not None
    assert record.backends["backend"].state is BackendState.STOPPED
