"""What a caller does with the three streams is no traceback: closed, full, nobody reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from toolchain.paths import ROOT


def run(command: str, state: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which `FACTORY` stands for the command line."""
    line = command.replace("FACTORY", f"{sys.executable} -m cli")
    environment = os.environ | {"FACTORY_STATE": str(state), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", line], cwd=state, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_closed_streams_lead_nowhere(tmp_path: Path) -> None:
    done = run("FACTORY tools <&- >&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert run("FACTORY status --stack nope <&- >&- 2>&-", tmp_path).returncode == 2


def test_nobody_reads(tmp_path: Path) -> None:
    done = run("FACTORY config reference | true; exit ${PIPESTATUS[0]}", tmp_path)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_output_that_is_full(tmp_path: Path) -> None:
    done = run("FACTORY tools >/dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("factory: No space left on device; free some space")
    assert "Traceback" not in done.stderr
