"""Run a benchmark in a process of its own, which waits for nothing but what it measures."""

from __future__ import annotations

import os
import sys

from cli import processes
from cli.errors import InputError
from toolchain.paths import ROOT

NAMES = ("cm5", "engine", "hosts", "labels", "merge")


def run(name: str, *, quick: bool, as_json: bool) -> int:
    """Run the benchmark and return its exit status. Raises InputError for an unknown name."""
    if name not in NAMES:
        raise InputError(f"there is no benchmark {name!r}; there are: {', '.join(NAMES)}")
    options = [*(["--quick"] if quick else []), *(["--json"] if as_json else [])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bench", name, *options]
    return processes.run(command, cwd=ROOT, env=environment)
