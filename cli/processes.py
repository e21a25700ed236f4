"""Facts about processes, so that a number in a file is never mistaken for the process it once named."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.processes import ProcessId, wait_gone

_PROC = Path("/proc")


def myself() -> ProcessId | None:
    """Name this process; None where the system does not tell enough to do so."""
    return ProcessId.of(os.getpid()) if _PROC.is_dir() else None


def started_at(pid: int) -> float | None:
    """Return when the process started, in seconds since the epoch; None when it is gone or the system does not tell."""
    process = ProcessId.of(pid) if _PROC.is_dir() else None
    return time.time() - process.uptime() if process else None


def name_of(pid: int) -> str | None:
    """Return the name of a process's program, of which the system keeps 15 characters; None if it does not tell."""
    try:
        return (_PROC / str(pid) / "comm").read_text("utf-8").rstrip("\n")
    except OSError:
        return None


def run(command: Sequence[str | Path], **options: Any) -> int:  # noqa: ANN401 - those of Popen
    """Run a command on the terminal of this process and return its exit status.

    Ctrl-C reaches it directly, since it is in the same foreground group; this process only waits for its end.
    """
    process = subprocess.Popen(command, **options)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


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
