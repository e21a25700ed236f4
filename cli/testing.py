"""Run the project's tests with everything they need."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import toolchain
from cli import processes
from cli.session import Report
from cli.test_record import describe
from sandbox.supervisor import TOOLS as BACKEND_TOOLS
from toolchain.debian_packages import (
    provide_gateway_programs,
    provide_long_tests,
    provide_ssh_server,
    provide_test_machines,
)
from toolchain.engine_home import VAULT_PLUGIN

RESULTS = Path("docs", "test-results.md")
_WHOLE = (0, 1)
"""pytest's exit status after a run of every test; an interrupted one has another."""


def run(arguments: Sequence[str], *, long: bool, report: Report) -> int:
    """Get the tools, run pytest, and return its exit status; a long run of everything is put on record.

    Raises ToolError.
    """
    # Traefik and Compose take minutes to build and are asked by long tests alone.
    asked_by_long_tests = ["traefik", "docker-compose"] if long else []
    toolchain.ensure(["pulumi", VAULT_PLUGIN, *BACKEND_TOOLS, "kubectl", *asked_by_long_tests], report)
    provide_ssh_server(report)
    provide_gateway_programs(report)
    provide_test_machines(report)
    if long:
        provide_long_tests(report)
    seed = os.environ.get("FACTORY_SEED") or str(random.SystemRandom().randrange(1_000_000))
    report(f"seed {seed}; FACTORY_SEED={seed} repeats this run's random choices")
    environment = os.environ | {"FACTORY_SEED": seed}
    # The tests' own order puts the slow ones first; a person's own `-n` wins.
    command = [sys.executable, "-m", "pytest", f"--numprocesses={_workers()}", "--no-loadscope-reorder", *arguments]
    if not long:
        return processes.run(command, cwd=toolchain.ROOT, env=environment)
    with tempfile.TemporaryDirectory(prefix="factory-tests-") as folder:
        outcome = Path(folder, "outcome.xml")
        command = [*command, f"--junitxml={outcome}"]
        status = processes.run(command, cwd=toolchain.ROOT, env=environment | {"FACTORY_LONG": "1"})
        if arguments:
            report(f"{RESULTS} stays as it is: it is about runs of everything, without arguments")
        elif status not in _WHOLE:
            report(f"{RESULTS} stays as it is: the run did not come to its end")
        else:
            facts = {"date": _today().isoformat(), "seed": seed, **_machine()}
            (toolchain.ROOT / RESULTS).write_text(describe(outcome.read_text("utf-8"), facts), "utf-8")
            report(f"wrote {RESULTS}")
    return status


def _workers() -> int:
    """Return how many processes run tests: each has backends of its own, which take about 600 MB."""
    return min(os.cpu_count() or 1, 4)


def _machine() -> dict[str, str]:
    """Return what the run's duration and outcome depend on."""
    tools = ", ".join(f"{row.name} {row.version}" for row in toolchain.table() if row.state is toolchain.State.READY)
    return {
        "commit": _commit(),
        "machine": f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores",
        "Python": f"{platform.python_version()}, pulumi {importlib.metadata.version('pulumi')}",
        "tools": tools,
    }


def _commit() -> str:
    """Return what was tested, as far as git knows it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, cwd=toolchain.ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not a git checkout"


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
