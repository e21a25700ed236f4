"""Facts about processes, so that a number in a file is never mistaken for the process it once named."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

_PROC = Path("/proc")


def alive(pid: int) -> bool:
    """Tell whether a process with this id exists; one that belongs to somebody else exists too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def started_at(pid: int) -> float | None:
    """Return when the process started, in seconds since the epoch, or None where the system does not tell."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()
        boot = next(
            int(line.split()[1])
            for line in (_PROC / "stat").read_text("utf-8").splitlines()
            if line.startswith("btime ")
        )
    except (OSError, StopIteration):
        return None
    start_ticks = 19  # field 22 of proc(5), counted from the state, which follows the name
    return boot + int(after_name[start_ticks]) / os.sysconf("SC_CLK_TCK")


def carrying(variable: str, value: str) -> list[int]:
    """Return the processes that were started with this environment variable, other than this one."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in _PROC.glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        pid = int(entry.name)
        if wanted in environment and pid != os.getpid() and not _is_zombie(pid):
            found.append(pid)
    return found


def end(pids: list[int], grace: float = 5.0) -> None:
    """End these processes: first politely, after `grace` seconds for good."""
    for name in (signal.SIGTERM, signal.SIGKILL):
        for pid in filter(alive, pids):
            try:
                os.kill(pid, name)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + grace
        while any(map(alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_zombie(pid: int) -> bool:
    try:
        return (_PROC / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
