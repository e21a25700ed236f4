"""The process of a plugin: it prints its port and is gone when it should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from toolchain.paths import ROOT

PLUGIN = [sys.executable, "-m", "toolchain.plugins.command"]
GONE_WITHIN_SECONDS = 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once(number: signal.Signals) -> None:
    with subprocess.Popen(PLUGIN, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(number)
        assert process.wait(GONE_WITHIN_SECONDS) == 0


def test_it_ends_with_its_parent() -> None:
    """The parent is a shell which is killed and can tell nobody."""
    script = f'"{PLUGIN[0]}" -m {PLUGIN[2]} & echo $!; wait'
    with subprocess.Popen(["/bin/sh", "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        plugin = int(shell.stdout.readline())
        assert int(shell.stdout.readline()) > 0
        shell.kill()
        assert _within(GONE_WITHIN_SECONDS, lambda: not _runs(plugin))


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 a process, not a file
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
