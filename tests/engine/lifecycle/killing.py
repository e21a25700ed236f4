"""Kill a run at a random point, and see what is left of it."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from sandbox.processes import ProcessId, with_descendants
from tests.support.project import Project

_OPERATIONS = (b" creating", b" updating", b" deleting")
_PROC = Path("/proc")


def kill_at_random_point(project: Project, dice: random.Random, log: Path, *command: str, operations: int) -> str:
    """Start a command and kill it with SIGKILL; return what was killed and when, or "" if it had ended before.

    Most kills come when a random number of at most `operations` changes has begun, the others in the seconds in which
    the run starts up. What dies is the whole process group, or the engine alone.
    """
    engine_only = dice.random() < 1 / 3
    wanted = dice.choice([0, *[dice.randint(1, operations) for _ in range(4)]])
    pause = dice.uniform(0, 0.2) if wanted else dice.uniform(0, 6)
    run = project.start(*command, log=log)
    while wanted and run.poll() is None and _begun(log) < wanted:
        time.sleep(0.005)
    time.sleep(pause)
    ended = run.poll() is not None
    engines = [pid for pid in with_descendants(run.pid) if _name(pid) == "pulumi"] if engine_only else []
    for pid in engines:
        os.kill(pid, signal.SIGKILL)
    if not engines:
        os.killpg(run.pid, signal.SIGKILL) if not ended else None
    run.wait(timeout=300)
    what = "the engine" if engines else "the process group"
    return "" if ended else f"{what} {pause:.2f} s after {wanted} operations had begun"


def survivors(state: Path) -> dict[ProcessId, str]:
    """Return the processes that belong to a run on this state directory and still live, with their command lines."""
    found = {}
    for entry in _PROC.glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        marked = any(variable.startswith(b"FACTORY_RUN=") for variable in variables)
        process = ProcessId.of(int(entry.name))
        if process and marked and f"FACTORY_STATE={state}".encode() in variables:
            found[process] = command
    return found


def _begun(log: Path) -> int:
    text = log.read_bytes()
    return sum(text.count(operation) for operation in _OPERATIONS)


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""
