"""How long the notes of fifty guests take: all of them changed, and none of them changed. The API is a local one."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.harness import QUICK_RUNS, RUNS, Row, measure
from components.traefik_gateway.args_notes import ProxmoxNotesArgs
from components.traefik_gateway.proxmox_plan import Labels, plan
from components.traefik_gateway.proxmox_work import Work
from tests.support.proxmox import HUMAN, Cluster, cluster, notes_values, router

OURS = "factory"
GUESTS = 50
GOAL_SECONDS = 3.0
"""For all guests changed (TPX-241)."""


def run(*, quick: bool, note: Callable[[str], None]) -> Iterator[Row]:
    """Measure an update of all guests, and a second one, which must write nothing."""
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as folder, cluster(Path(folder)) as pve:
        for number in range(GUESTS):
            pve.guest(1000 + number, f"vm-{number}", HUMAN)
        changed, unchanged = Row(f"{GUESTS} guests, all changed", OURS), Row(f"{GUESTS} guests, none changed", OURS)
        for turn in range(QUICK_RUNS if quick else RUNS):
            work, labels = _planned(pve, turn)
            _measure(changed, pve, work, labels, writes=GUESTS)
            _measure(unchanged, pve, work, labels, writes=0)
    note(f"{changed.case}: {changed.median:.2f} s; the goal is {GOAL_SECONDS:.0f} s; none changed: 0 writes")
    yield from (changed, unchanged)


def _planned(pve: Cluster, turn: int) -> tuple[Work, dict[str, Labels]]:
    guests = {
        f"vm-{number}": {"vmid": 1000 + number, "containers": {"app": router(f"app-{number}-{turn}")}}
        for number in range(GUESTS)
    }
    values = notes_values(pve, **guests)
    secret = values.pop("token_secret")
    work = Work(ProxmoxNotesArgs.model_validate(values), secret)
    return work, dict(plan(work.args, work.find_out(), {}).labels)


def _measure(row: Row, pve: Cluster, work: Work, labels: dict[str, Labels], *, writes: int) -> None:
    """Run once. Reads and writes are counted where they arrive, and a wrong number ends the benchmark."""
    pve.forget_calls()
    cpu = time.process_time()
    measure(row, lambda: work.write(labels, {}, former={}, former_block=work.args.block))
    row.cpu_seconds[-1] = round(time.process_time() - cpu, 3)
    counted = len(pve.calls("GET", "/config")), len(pve.calls("PUT", "/config"))
    if counted != (GUESTS, writes):
        sys.exit(f"{row.case}: {counted[0]} reads and {counted[1]} writes instead of {GUESTS} and {writes}")
