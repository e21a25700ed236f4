"""`python -m bench NAME [--quick] [--json]`: run one benchmark and print its rows."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType

from bench import cm5, engine, hosts, labels, merge
from bench.harness import QUICK_RUNS, RUNS, as_json, machine, table
from sandbox.supervisor import OWNER_VARIABLE

BENCHMARKS = {"cm5": cm5.run, "engine": engine.run, "hosts": hosts.run, "labels": labels.run, "merge": merge.run}


def main() -> None:
    """Run the benchmark; progress and the machine go to standard error, the result to standard output."""
    parser = argparse.ArgumentParser(prog="factory bench")
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs instead of {RUNS}, smaller cases")
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    chosen = parser.parse_args()
    # An ended benchmark stops its sandbox, also when its shell had told it to ignore Ctrl-C; and so does a killed one.
    os.environ[OWNER_VARIABLE] = str(os.getpid())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    facts = machine()
    _note(", ".join(f"{name} {value}" for name, value in facts.items()))
    if chosen.quick:
        _note(f"--quick: {QUICK_RUNS} runs per case where a full run has {RUNS}, and smaller cases")
    rows = []
    for row in BENCHMARKS[chosen.name](quick=chosen.quick, note=_note):
        rows.append(row)
        if chosen.json:
            sys.stdout.write(as_json(row) + "\n")
            sys.stdout.flush()
    if not chosen.json:
        sys.stdout.write("\n".join([*(f"- {name}: {value}" for name, value in facts.items()), "", table(rows), ""]))


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _note(line: str) -> None:
    sys.stderr.write(f"factory: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
