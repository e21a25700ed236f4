"""`python -m sandbox supervise`: the daemon. People use `./factory sandbox start` instead."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Any

from sandbox.layout import Layout

ALREADY_RUNNING = 3


def main(arguments: list[str]) -> int:
    """Detach and supervise; standard input says where (`state_dir`), with which programs (`tools`) and for whom."""
    if arguments != ["supervise"] or sys.stdin.isatty():
        print("this is the sandbox's supervisor; use: ./factory sandbox start|stop|status|reset", file=sys.stderr)
        return 2
    order = json.load(sys.stdin)
    layout = Layout(Path(order["state_dir"]))
    os.umask(0o077)
    # Held until the daemon dies, however it dies: the descriptor goes with the fork.
    lock = os.open(layout.supervisor_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return ALREADY_RUNNING
    if os.fork() != 0:
        return 0
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    return _supervise(layout, {name: Path(path) for name, path in order["tools"].items()}, order["owner"])


def _supervise(layout: Layout, tools: dict[str, Path], owner: dict[str, Any] | None) -> int:
    log = os.open(layout.log("supervisor"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.chdir("/")
    # Imported late: before the fork there must be no thread, and it makes the caller wait less.
    from sandbox.daemon import Daemon  # noqa: PLC0415 - only the supervisor needs it
    from sandbox.errors import SandboxError  # noqa: PLC0415 - only the supervisor needs it
    from sandbox.processes import ProcessId  # noqa: PLC0415 - only the supervisor needs it

    try:
        up = asyncio.run(Daemon(layout, tools, ProcessId.model_validate(owner) if owner else None).run())
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if up else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
