"""What the next run does about a run that was killed.

A killed run leaves its lock, maybe provider plugins, and creates of which nobody knows whether they happened. The lock
is cleared only if its process is dead, the plugins end by the mark of their run, and each pending create becomes a
resource with the id that its inputs determine: the refresh that every `up` begins with then finds the object, or finds
it missing and makes it.
"""

from __future__ import annotations

import datetime as dt
import json
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import processes
from cli.deterministic_ids import deterministic_id
from cli.errors import CommandError
from cli.session import Report, Session, file_backend
from cli.stack import PROJECT
from cli.state_edit import Record
from sandbox.processes import ProcessId
from toolchain.paths import state_dir

RUN_VARIABLE = "FACTORY_RUN"


@dataclass(frozen=True)
class RunMark:
    """Marks the processes of one run, and remembers the mark until the run has ended by itself."""

    stack: str

    @property
    def _file(self) -> Path:
        return state_dir() / "runs" / f"{self.stack}.json"

    def begin(self) -> dict[str, str]:
        """Note a new run and return the environment variable that its processes carry."""
        mark = uuid.uuid4().hex
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        self._file.write_text(json.dumps({"mark": mark}), "utf-8")
        return {RUN_VARIABLE: mark}

    def end(self) -> None:
        """Forget the run: its processes are gone."""
        self._file.unlink(missing_ok=True)

    def left_over(self) -> list[ProcessId]:
        """Return the processes of a run that did not end by itself."""
        try:
            mark = json.loads(self._file.read_text("utf-8"))["mark"]
        except (OSError, ValueError, KeyError):
            return []
        return processes.carrying(RUN_VARIABLE, str(mark))


def clear_dead_run(session: Session, report: Report) -> None:
    """Clear what a dead run of this stack left, or refuse because a run is alive. Raises CommandError."""
    mark = RunMark(session.stack.name)
    _clear_locks(session, report)
    if left_over := mark.left_over():
        report(f"ending {len(left_over)} processes that a killed run left behind")
        processes.end(left_over)
    mark.end()


def _clear_locks(session: Session, report: Report) -> None:
    backend = file_backend(session)
    if backend is None:
        return  # the engine itself guards locks in a shared backend; only a person can know whether their run is dead
    for lock in (backend / ".pulumi" / "locks" / "organization" / PROJECT / session.stack.name).glob("*.json"):
        try:
            holder = json.loads(lock.read_text("utf-8"))
        except (OSError, ValueError):
            holder = {}  # the write of the lock itself was cut off
        if _holds(holder):
            raise CommandError(
                f"stack {session.stack.name!r} is locked by a live run (process {holder.get('pid')} on "
                f"{holder.get('hostname')}, since {holder.get('timestamp')}); wait for it, or end that process"
            )
        report(f"clearing the lock of a dead run (process {holder.get('pid', 'unknown')})")
        lock.unlink(missing_ok=True)
        lock.with_name(lock.name + ".attrs").unlink(missing_ok=True)


def _holds(holder: dict[str, Any]) -> bool:
    if not holder:
        return False
    if holder.get("hostname") != socket.gethostname():
        return True  # another machine's run cannot be looked at from here
    pid = int(holder["pid"])
    if not processes.alive(pid):
        return False
    started = processes.started_at(pid)
    locked = dt.datetime.fromisoformat(str(holder["timestamp"])).timestamp()
    # A process that started after the lock was written only reuses the number.
    return started is None or started <= locked + 1


def resolve(pending: Iterable[dict[str, Any]], report: Report) -> list[Record]:
    """Return a record for each pending create that may have happened.

    An interrupted update or delete needs nothing: its resource is still in the state, and the refresh reads what
    became of it.
    """
    found = []
    for operation in pending:
        resource = operation["resource"]
        if operation["type"] != "creating":
            continue
        identity = deterministic_id(resource["type"], resource.get("inputs", {}))
        if identity is None:
            report(f"forgetting the interrupted create of {resource['urn']}: repeating it is harmless")
            continue
        report(f"looking whether the interrupted create of {identity} ({resource['type']}) happened")
        found.append(resource | {"id": identity, "outputs": {}})
    return found
