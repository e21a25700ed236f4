"""Facts about processes, so that a number in a file is never mistaken for the process it once named."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from sandbox.processes import ProcessId, wait_gone

_PROC = Path("/proc")


def myself() -> ProcessId | None:
    """Name this process; None where the system does not tell enough to do so."""
    return ProcessId.of(os.getpid()) if _PROC.is_dir() else None


def started_at(pid: int) -> float | None:
    """Return when the process started, in seconds since the epoch; None when it is gone or the system does not tell."""
    process = ProcessId.of(pid) if _PROC.is_dir() else None
    return time.time() - process.uptime() if process else None


def alive(pid: int) -> bool:
    """Tell whether a process with this number runs; one that belongs to somebody else runs too."""
    if _PROC.is_dir():
        return ProcessId.of(pid) is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def carrying(variable: str, value: str) -> list[ProcessId]:
    """Return the processes that were started with this environment variable, other than this one."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in _PROC.glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        process = ProcessId.of(int(entry.name))
        if wanted in environment and process is not None and process.pid != os.getpid():
            found.append(process)
    return found


def end(processes: list[ProcessId], grace: float = 5.0) -> None:
    """End these processes: first politely, after `grace` seconds for good."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            process.signal(number)
        if not wait_gone(processes, grace):
            return
