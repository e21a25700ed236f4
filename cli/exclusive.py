"""One run at a time changes a stack: the second one of this machine is told at once who is first."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cli.errors import CommandError, writing
from toolchain.paths import state_dir

__all__ = ["alone", "locked", "runs"]


def runs(stack: str) -> Path:
    """Return the folder in which the runs of a stack leave notes of themselves."""
    return state_dir() / "runs" / stack


@contextlib.contextmanager
def alone(stack: str) -> Iterator[None]:
    """Keep the other runs of this state directory from changing the stack meanwhile.

    The kernel drops the lock with its holder, however that ends. A plain `pulumi` and other machines are kept off by
    the engine's own lock. Raises CommandError that names the holder.
    """
    folder = runs(stack)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise locked(stack, _holder(descriptor)) from None
        now = dt.datetime.now().astimezone().isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        with writing(folder / "lock"):
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "timestamp": now}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def locked(stack: str, holder: Mapping[str, Any]) -> CommandError:
    """Return the refusal that names who changes the stack: `pid`, `timestamp`, `hostname` if it may be another's."""
    pid, since = holder.get("pid"), holder.get("timestamp")
    here = holder.get("hostname", socket.gethostname()) == socket.gethostname()
    place = "this machine" if here else str(holder["hostname"])
    who = f"process {pid} on {place}, since {since}" if pid else f"on {place}"
    return CommandError(
        f"stack {stack!r} is locked by a live run ({who}), so nothing was changed; wait for it, or press Ctrl-C at its "
        "terminal. If it hangs, end that process: the next run goes on from there"
    )


def _holder(descriptor: int) -> dict[str, Any]:
    """Read who holds the lock; nothing is known of one that took it this very moment."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
