"""How long the labels of a machine take: read, turned into the gateway's, written; then the notes of fifty guests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bench import notes
from bench.harness import Row, measure
from components.traefik_gateway import Container, Mode, TransformArgs, parse, render, transform
from tests.support.labels import container, example

OURS = "factory"
GOAL_SECONDS = 0.01
"""For 100 containers, in every mode (TPX-241)."""
SIZES = (100, 10_000)
QUICK_SIZES = (100,)
_RUNS = 50
_QUICK_RUNS = 10
_LARGE = 1_000
"""Of larger sets fewer runs are enough: the table tells how many."""


def run(*, quick: bool, note: Callable[[str], None]) -> Iterator[Row]:
    """Measure both modes with containers like those of the worked example."""
    for size in QUICK_SIZES if quick else SIZES:
        runs = _QUICK_RUNS if quick else (_RUNS if size <= _LARGE else 5)
        containers = _containers(size)
        for mode in Mode:
            args = TransformArgs(mode=mode)
            row = Row(f"{size} containers, {mode}", OURS)
            _once(containers, args)
            for _ in range(runs):
                _measure(row, containers, args)
            if size == SIZES[0]:
                note(f"{row.case}: {row.median * 1e3:.1f} ms; the goal is {GOAL_SECONDS * 1e3:.0f} ms")
            yield row
    yield from notes.run(quick=quick, note=note)


def _measure(row: Row, containers: list[Container], args: TransformArgs) -> None:
    """Run once and add what it took. The work is done in this process, whose own processor time counts."""
    cpu = time.process_time()
    measure(row, lambda: _once(containers, args))
    row.cpu_seconds[-1] = round(time.process_time() - cpu, 6)


def _once(containers: list[Container], args: TransformArgs) -> str:
    return render(transform(parse(containers), args).labels)


def _containers(count: int) -> list[Container]:
    """Make containers with 13 labels on average: routers, services, headers, redirects."""
    long, short = example()
    found = []
    for number in range(count):
        model = short if number % 2 else long
        name = f"mash-app-{number}"
        labels = {
            key.replace(model.name, name): value.replace(model.name, name).replace("home.", f"app-{number}.")
            for key, value in model.labels.items()
        }
        found.append(container(name, labels))
    return found
