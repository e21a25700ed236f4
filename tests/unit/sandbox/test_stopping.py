"""Stopping a sandbox that has only just begun."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from sandbox.layout import Layout
from sandbox.supervisor import Sandbox
from toolchain.paths import ROOT

# What a supervisor does first: it takes its lock, and some time later it says who it is.
_BEGINNING = """
import fcntl, os, sys, time
from pathlib import Path
from sandbox.layout import Layout
from sandbox.processes import ProcessId
from sandbox.record import Record

layout = Layout(Path(sys.argv[1]))
lock = os.open(layout.supervisor_lock, os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(0.5)
Record(supervisor=ProcessId.of(os.getpid())).save(layout.record)
time.sleep(300)
"""


def test_a_start_that_was_interrupted_at_once_is_stopped_all_the_same(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "state")
    layout.make()
    command = [sys.executable, "-c", _BEGINNING, str(layout.root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as beginning:
        try:
            assert beginning.stdout is not None
            assert beginning.stdout.readline() == "locked\n"
            Sandbox(layout.root).stop(lambda _line: None)
            assert beginning.wait(60) == -signal.SIGTERM
        finally:
            beginning.kill()
    assert not layout.record.exists()


def test_a_sandbox_that_never_ran_has_nothing_to_stop(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "state")
    layout.make()
    Sandbox(layout.root).stop(lambda _line: None)
    assert not layout.record.exists()
