"""Run the agent's work and die at a chosen call to the system: a program of its own, whose forks are killed.

    python -m tests.support.host_kills FILE

FILE is JSON: ``template`` (a directory to start from), ``work`` (where it is copied each time), ``documents`` (applied
one after the other; the kill is in the last), ``first`` and ``step`` (which calls). Prints one JSON line per point.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from components.host.agent.host import Host
from tests.support.host_machine import Driver, tree

CALLS = (
    "open",
    "write",
    "fsync",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "chmod",
    "fchmod",
    "fchown",
    "symlink",
    "close",
    "chown",
)


class Countdown:
    """Counts calls to the system and kills the process in front of a certain one."""

    def __init__(self, point: int) -> None:
        self.point = point
        self.done = 0

    def watch(self) -> None:
        """Stand before every call that can change something."""
        for name in CALLS:
            real = getattr(os, name)

            def call(*arguments: Any, _real: Any = real, **options: Any) -> Any:
                self.done += 1
                if self.done == self.point:
                    os.kill(os.getpid(), signal.SIGKILL)
                return _real(*arguments, **options)

            setattr(os, name, call)


def in_a_fork(work: Any) -> tuple[int, Any]:
    """Run in a child; returns its wait status and its answer."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            answer = json.dumps(work())
        except BaseException:  # noqa: BLE001 whatever it is, the parent shall see it
            answer = json.dumps({"traceback": traceback.format_exc()})
        with os.fdopen(writing, "w") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    return os.waitpid(child, 0)[1], json.loads(text) if text else None


def driver(root: Path, owned: dict[str, Any]) -> Driver:
    made = Driver(Host(str(root)))
    made.owned = owned
    return made


def _store(place: Path, owned: dict[str, Any]) -> None:
    place.write_text(json.dumps(owned))


def run(case: dict[str, Any], point: int) -> dict[str, Any]:
    """Kill one run and look what the next makes of it."""
    root = Path(case["work"]) / "tree"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(case["template"], root, symlinks=True)
    *earlier, last = case["documents"]
    owned: dict[str, Any] = {}
    for document in earlier:
        before = driver(root, owned)
        before.apply(document)
        owned = before.owned
    countdown = Countdown(point)
    delivery = Path(case["work"]) / "delivered"
    delivery.unlink(missing_ok=True)

    def killed() -> dict[str, Any]:
        work = driver(root, owned)
        countdown.watch()
        work.apply(last, delivered=lambda made: _store(delivery, made))
        return {"calls": countdown.done}

    status, answer = in_a_fork(killed)
    if delivery.exists():
        owned = json.loads(delivery.read_text())
    torn = tree(root)

    def healed() -> dict[str, Any]:
        work = driver(root, owned)
        applied = work.apply(last)
        return {"applied": applied, "pending": work.pending(last), "owned": work.owned}

    _, after = in_a_fork(healed)
    end = tree(root)
    return {
        "point": point,
        "killed": os.WIFSIGNALED(status),
        "calls": (answer or {}).get("calls"),
        "torn": {path: content.decode("latin-1") for path, (_, content) in torn.items() if isinstance(content, bytes)},
        "end": {
            path: [mode, content.decode("latin-1") if isinstance(content, bytes) else content]
            for path, (mode, content) in end.items()
        },
        "after": after,
    }


def main() -> None:
    case = json.loads(Path(sys.argv[1]).read_text())
    reference = run(case, 0)
    total = reference["calls"]
    print(json.dumps({"total": total, "reference": reference}))
    for point in range(case["first"], total + 1, case["step"]):
        print(json.dumps(run(case, point)))


if __name__ == "__main__":
    main()
