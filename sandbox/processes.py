"""Processes named so that a stale id never names a stranger: id, start time and boot.

Linux only, by /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_PROC = Path("/proc")
_STATE_FIELD = 0  # fields of /proc/PID/stat after the parenthesised command name
_PARENT_FIELD = 1
_START_FIELD = 19


class ProcessId(BaseModel):
    """One process, unmistakable also after its number has been used again or the machine restarted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pid: int
    started_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Name a live process; None when there is none of that number."""
        fields = _stat(pid)
        if fields is None or fields[_STATE_FIELD] == "Z":
            return None
        return cls(pid=pid, started_ticks=int(fields[_START_FIELD]), boot=boot_id())

    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return ProcessId.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Signal this very process; nothing happens when it is gone."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def uptime(self) -> float:
        """Return for how many seconds it has run."""
        # Not /proc/uptime: in some containers that is the container's, while a start always counts from the machine's.
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return max(0.0, now - self.started_ticks / os.sysconf("SC_CLK_TCK"))


@cache
def boot_id() -> str:
    """Return what distinguishes this boot of the machine from every other."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def wait_gone(processes: Iterable[ProcessId], seconds: float) -> list[ProcessId]:
    """Wait until the processes are gone; return those which still run after that many seconds."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if process.alive()]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [process for process in left if process.alive()]
    return left


def with_descendants(pid: int) -> list[int]:
    """Return the process and all that came out of it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[_PARENT_FIELD]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


def memory(pid: int) -> int | None:
    """Return the bytes used by a process and its descendants, shared pages counted once; None when it is gone."""
    sizes = [size for member in with_descendants(pid) if (size := proportional_size(member)) is not None]
    return sum(sizes) if sizes else None


def proportional_size(pid: int) -> int | None:
    """Return the bytes used by one process, a shared page divided among its users; None when it is gone."""
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(pid) / name).read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    return None


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
