"""What every benchmark shares: repeated measurements, the machine they were made on, and how they are shown."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

RUNS = 5
QUICK_RUNS = 2
_BLOCK_BYTES = 512
"""In these units the kernel counts what a process has written (``ru_oublock``)."""


@dataclass(frozen=True)
class Row:
    """One case of one peer: wall-clock and processor seconds of each run, and bytes that its processes wrote.

    A part of a run that its program times itself has wall-clock seconds alone.
    """

    case: str
    peer: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    written_bytes: list[int] = field(default_factory=list)
    state_bytes: int | None = None
    memory_bytes: int | None = None
    """The most that one of the processes had in memory, where a benchmark measures it."""
    result: str | None = None
    """Whether what was made is right, where a benchmark looks."""

    @property
    def median(self) -> float:
        """The median of the wall-clock seconds."""
        return statistics.median(self.seconds)


def measure(row: Row, action: Callable[[], object]) -> None:
    """Run the action once and add what it took to the row. Only processes that the action waits for are counted."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    action()
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    row.seconds.append(round(seconds, 6))
    row.cpu_seconds.append(round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3))
    row.written_bytes.append((after.ru_oublock - before.ru_oublock) * _BLOCK_BYTES)


def interleave(case: str, peers: Mapping[str, Callable[[], object]], runs: int) -> list[Row]:
    """Measure the peers in turns, so that whatever else the machine does meets all of them alike."""
    rows = {peer: Row(case, peer) for peer in peers}
    for _ in range(runs):
        for peer, action in peers.items():
            measure(rows[peer], action)
    return list(rows.values())


def machine() -> dict[str, str]:
    """Describe the machine, its load right now, and the versions that matter."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.1f} GiB",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "pulumi SDK": importlib.metadata.version("pulumi"),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def table(rows: Iterable[Row]) -> str:
    """Write the rows as a Markdown table; the last columns are there if some row has something in them."""
    shown = list(rows)
    more = [name for name in ("memory", "result") if any(_more(row)[name] for row in shown)]
    lines = [
        "| case | peer | runs | min s | median s | max s | CPU s (median) | written (median) | state |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines = [lines[0] + "".join(f" {name} |" for name in more), lines[1] + " ---: |" * len(more)]
    for row in shown:
        times = " | ".join(map(_seconds, (min(row.seconds), row.median, max(row.seconds))))
        cpu = _seconds(statistics.median(row.cpu_seconds)) if row.cpu_seconds else ""
        written = _size(int(statistics.median(row.written_bytes))) if row.written_bytes else ""
        state = "" if row.state_bytes is None else _size(row.state_bytes)
        line = f"| {row.case} | {row.peer} | {len(row.seconds)} | {times} | {cpu} | {written} | {state} |"
        lines.append(line + "".join(f" {_more(row)[name]} |" for name in more))
    return "\n".join(lines)


def _more(row: Row) -> dict[str, str]:
    return {"memory": "" if row.memory_bytes is None else _size(row.memory_bytes), "result": row.result or ""}


def rounds(most: int, seconds: float, *, fewest: int = 1) -> Iterator[int]:
    """Count rounds: all of them, or once there are the fewest as many as begin within some seconds."""
    begun = time.monotonic()
    for number in range(most):
        if number >= fewest and time.monotonic() - begun > seconds:
            break
        yield number


def as_json(row: Row) -> str:
    """Write a row as one JSON object in one line."""
    return json.dumps({key: value for key, value in asdict(row).items() if value is not None})


def _seconds(value: float) -> str:
    """Show about three digits of seconds, and short times by tenths of a millisecond."""
    decimals = 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4  # noqa: PLR2004 - about three digits
    return f"{value:.{decimals}f}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"  # noqa: PLR2004 - one megabyte
