"""Kill a run at a random point, and see what is left of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from sandbox.processes import ProcessId, with_descendants
from tests.support.project import Project

_OPERATIONS = (b" creating", b" updating", b" deleting")
_PROC = Path("/proc")
_ENDED_BEFORE = 10
"""So many runs may have ended before they were killed."""


def kill_at_random_points(
    project: Project, dice: random.Random, log: Path, *command: str, kills: int, operations: int
) -> list[str]:
    """Start a command again and again, and kill it, until so many runs died of that; return what was killed and when.

    A run that nobody kills makes about `operations` changes; the moments are drawn so that the kills spread over them.
    A run that ends before its moment is no kill, has to succeed, and leaves nothing to do: those after it are killed in
    the seconds in which they start up.
    """
    story: list[str] = []
    for number in range(kills + _ENDED_BEFORE):
        own_log = log.with_suffix(f".{number}.log")
        killed = _kill_once(project, dice, own_log, command, 2 * operations // (kills + 1 + number))
        story += [f"{killed} ({own_log})"] if killed else []
        if len(story) == kills:
            return story
        operations = operations if killed else 0
    raise AssertionError(f"{len(story)} of {kills} runs could be killed, the others had ended: {story}")


def _kill_once(project: Project, dice: random.Random, log: Path, command: Sequence[str], operations: int) -> str:
    """Start the command and kill it with SIGKILL; return what was killed and when, "" if it had ended before.

    Most kills come when a random number of at most `operations` changes has begun, the others in the seconds in which
    the run starts up. What dies is the whole process group, or the engine alone.
    """
    engine_only = dice.random() < 1 / 3
    wanted = dice.choice([0, *[dice.randint(1, operations) for _ in range(4)]]) if operations else 0
    pause = dice.uniform(0, 0.2) if wanted else dice.uniform(0, 4 if operations else 0.5)
    run = project.start(*command, log=log)
    while wanted and run.poll() is None and _begun(log) < wanted:
        time.sleep(0.005)
    time.sleep(pause)
    engines = [pid for pid in with_descendants(run.pid) if _name(pid) == "pulumi"] if engine_only else []
    if run.poll() is None:
        for pid in engines:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not engines:
            os.killpg(run.pid, signal.SIGKILL)
    status = run.wait(timeout=300)
    died = status == -signal.SIGKILL or (engines and status)
    assert died or not status, log.read_text("utf-8", "replace")
    what = "the engine" if engines else "the process group"
    return f"{what} {pause:.2f} s after {wanted} operations had begun" if died else ""


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
