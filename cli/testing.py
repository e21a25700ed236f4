"""Run the project's tests with everything they need."""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import toolchain
from cli.debian_packages import provide_gateway_programs, provide_ssh_server, provide_test_machines
from cli.session import Report
from sandbox.supervisor import TOOLS as BACKEND_TOOLS
from toolchain.engine_home import VAULT_PLUGIN
from toolchain.progress import duration

RESULTS = Path("docs", "test-results.md")


def run(arguments: Sequence[str], *, long: bool, report: Report) -> int:
    """Get the tools, run pytest, and return its exit status; a long run is put on record. Raises ToolError."""
    # Traefik takes minutes to build and is asked by long tests alone.
    toolchain.ensure(["pulumi", VAULT_PLUGIN, *BACKEND_TOOLS, "kubectl", *(["traefik"] if long else [])], report)
    provide_ssh_server(report)
    provide_gateway_programs(report)
    provide_test_machines(report)
    seed = os.environ.get("FACTORY_SEED") or str(random.SystemRandom().randrange(1_000_000))
    report(f"seed {seed}; FACTORY_SEED={seed} repeats this run's random choices")
    environment = os.environ | {"FACTORY_SEED": seed}
    # The slow files come first; a person's own `-n` wins.
    command = [sys.executable, "-m", "pytest", f"--numprocesses={_workers()}", "--no-loadscope-reorder", *arguments]
    if not long:
        return subprocess.run(command, cwd=toolchain.ROOT, env=environment, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="factory-tests-") as folder:
        outcome = Path(folder, "outcome.xml")
        done = subprocess.run(
            [*command, f"--junitxml={outcome}"],
            cwd=toolchain.ROOT,
            env=environment | {"FACTORY_LONG": "1"},
            check=False,
        )
        if outcome.is_file():
            record = describe(outcome.read_text("utf-8"), seed=seed, arguments=arguments, day=_today())
            (toolchain.ROOT / RESULTS).write_text(record, "utf-8")
            report(f"wrote {RESULTS}")
    return done.returncode


def describe(outcome: str, *, seed: str, arguments: Sequence[str], day: dt.date) -> str:
    """Return the committed record of a long run, made of pytest's own report (JUnit XML)."""
    suites = list(ET.fromstring(outcome).iter("testsuite"))  # noqa: S314 - pytest wrote it a moment ago

    def total(name: str) -> int:
        return sum(int(suite.get(name, "0")) for suite in suites)

    failed = total("failures") + total("errors")
    took = sum(float(suite.get("time", "0")) for suite in suites)
    rows = {
        "date": day.isoformat(),
        "seed": seed,
        "arguments": " ".join(arguments) or "none",
        "passed": total("tests") - failed - total("skipped"),
        "failed": failed,
        "skipped": total("skipped"),
        "duration": duration(took),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        "# Last long test run\n\n"
        "Written by `./factory test --long`: everything at full count.\n\n"
        f"| | |\n| --- | --- |\n{table}\n"
    )


def _workers() -> int:
    """Return how many processes run tests: each has backends of its own, which take about 600 MB."""
    return min(os.cpu_count() or 1, 4)


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
