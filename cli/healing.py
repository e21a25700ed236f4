"""What the next run does about a run that was killed.

A killed run leaves its lock, maybe provider plugins, and creates of which nobody knows whether they happened. The lock
is cleared only if its process is dead, the plugins end by the mark of their run, and each pending create becomes a
resource with the id that its inputs determine: the refresh that every `up` begins with then finds the object, or finds
it missing and makes it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cli import processes, state_copies
from cli.deterministic_ids import deterministic_id, place_of
from cli.errors import CommandError, writing
from cli.exclusive import locked, runs
from cli.forks import RUN_VARIABLE
from cli.session import Report, Session, file_backend
from cli.stack import PROJECT
from cli.state_edit import Record
from cli.vault_client import VaultClient
from sandbox.processes import ProcessId

_CHANGES = ".changes"
_PLAN = "plan"
_ENGINE = "pulumi"
_STATE_FILES = ("json*", "pulumi-tags*")
"""What the engine keeps of a stack, behind the stack's name and a dot; another stack's name may begin with both."""
_ROOM = 1 << 20
"""Bytes. A disk with less is as good as full: the engine writes a state three times, with its copies."""
_IN_TWO_STEPS = "vault:jwt/authBackend:AuthBackend"
"""Mounted, then configured: between the two its provider calls it missing, and Vault refuses to mount it again."""


class Run(BaseModel):
    """One run of the engine: the mark that its processes carry, and the process that waits for it."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # an earlier release noted more

    mark: str
    owner: ProcessId | None

    @property
    def alive(self) -> bool:
        """Whether somebody still waits for it."""
        return self.owner is not None and self.owner.alive()

    @property
    def processes(self) -> list[ProcessId]:
        """What still runs of it."""
        return processes.carrying(RUN_VARIABLE, self.mark)


@contextlib.contextmanager
def marked(stack: str, mark: str) -> Iterator[tuple[dict[str, str], Path]]:
    """Note a run, and leave nothing of it behind.

    Gives the environment variable that its processes carry, and a file in which they may tell what they change.
    """
    run = Run(mark=mark, owner=processes.myself())
    file = runs(stack) / f"{run.mark}.json"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with writing(file):
        file.write_text(run.model_dump_json(), "utf-8")
    try:
        yield {RUN_VARIABLE: run.mark}, file.with_suffix(_CHANGES)
    finally:
        # Usually there are none; an engine that was killed alone leaves its plugins.
        processes.end(run.processes)
        _forget(file)


@contextlib.contextmanager
def planned(stack: str) -> Iterator[Path]:
    """Give the file for the plan of the one run that changes the stack; it is gone after it."""
    file = runs(stack) / _PLAN
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def clear_dead_run(session: Session, report: Report) -> None:
    """Clear what dead runs of this stack left. Raises CommandError if the engine's lock is held by a live one.

    Whoever calls this is `exclusive.alone`: of this machine's runs, those that live are previews.
    """
    stack = session.stack.name
    _end_dead_runs(stack, report)
    (runs(stack) / _PLAN).unlink(missing_ok=True)
    if backend := file_backend(session):
        _clear_locks(_locks(backend, stack), stack, report)
        for kind in _STATE_FILES:
            for cut_off in _states(backend).glob(f"{stack}.{kind}.tmp"):
                cut_off.unlink(missing_ok=True)
        _restore(_states(backend) / f"{stack}.json", report)
    # The engine itself guards locks in a shared backend; only a person can know whether their run is dead.


def mend_state_files(session: Session) -> None:
    """Remove notes about the state's files whose writing was cut off: the engine could read no state beside them.

    Such a note (content type, checksum) is not replaced as a whole, and nothing needs it.
    """
    backend = file_backend(session)
    if backend is None:
        return
    notes = [note for kind in _STATE_FILES for note in _states(backend).glob(f"{session.stack.name}.{kind}.attrs")]
    for note in (backend / ".pulumi" / "meta.yaml.attrs", *notes):
        if _json(note) is None:
            note.unlink(missing_ok=True)


def refuse_damaged_state(session: Session) -> None:
    """Refuse a state file that the engine could not read, and say what brings an earlier state back.

    The engine itself would name neither the file nor a way out. Raises CommandError.
    """
    backend, stack = file_backend(session), session.stack.name
    if backend is None:
        return
    file = _states(backend) / f"{stack}.json"
    try:
        why = _damage(file)
    except OSError as error:
        raise CommandError(
            f"the state of stack {stack!r} cannot be read, so nothing was changed: {file}: {error.strerror}; make it "
            "readable for the user who runs this"
        ) from error
    if why is None:
        return
    if before := _before(file):
        bring = f"the next `up` or `destroy` goes on from the one before it, {before}"
    elif copy := state_copies.newest(stack):
        bring = (
            f"`./factory pulumi {stack} -- stack import --file {copy}` brings back the one before the last run, and "
            "the next finds out what changed since"
        )
    else:
        bring = f"put a copy of it in its place: there is neither {file}.bak nor one of ours"
    raise CommandError(f"the state of stack {stack!r} is damaged, so nothing was changed: {file}: {why}; {bring}")


def _restore(file: Path, report: Report) -> None:
    """Put what a state was one step before in the place of a damaged one.

    On a full disk the engine replaces its state by as much of the next one as there was room for.
    """
    try:
        why = _damage(file)
    except OSError:  # it may be whole: `refuse_damaged_state` says so
        return
    if why and (before := _before(file)):
        kept = file.with_name(f"{file.name}.damaged")
        report(f"going on from {before}, the state one step before: {file} is damaged ({why}) and kept as {kept}")
        file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)
        file.replace(kept)
        before.replace(file)


def _before(file: Path) -> Path | None:
    """Return the engine's own copy of a state file from before the last change, if there is a whole one."""
    copy = file.with_name(f"{file.name}.bak")
    with contextlib.suppress(OSError):
        return copy if copy.is_file() and _damage(copy) is None else None
    return None


def _damage(file: Path) -> str | None:
    """Return why a file holds no state, None for one that does and where there is none. Raises OSError."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    return None if isinstance(content, dict) and "checkpoint" in content else "it has no checkpoint"


def living_holder(session: Session) -> CommandError | None:
    """Return the refusal that names who holds the engine's lock after a run that failed: it is not that run."""
    backend, stack = file_backend(session), session.stack.name
    holders = [_json(lock) or {} for lock in _locks(backend, stack).glob("*.json")] if backend else []
    return next((locked(stack, holder) for holder in holders if _holds(holder)), None)


def out_of_room(session: Session) -> str | None:
    """Return what to do where a run failed for want of room: the engine names the file that it could not write."""
    backend = file_backend(session)
    with contextlib.suppress(OSError):  # a folder that is gone is not full
        if backend and shutil.disk_usage(backend).free < _ROOM:
            return f"there is no room left for the state at {backend}: free some space; the next run goes on from there"
    return None


def _states(backend: Path) -> Path:
    return backend / ".pulumi" / "stacks" / PROJECT


def _locks(backend: Path, stack: str) -> Path:
    return backend / ".pulumi" / "locks" / "organization" / PROJECT / stack


def _forget(note: Path) -> None:
    note.with_suffix(_CHANGES).unlink(missing_ok=True)
    note.unlink(missing_ok=True)


def _end_dead_runs(stack: str, report: Report) -> None:
    for file in sorted(runs(stack).glob("*.json")):
        try:
            run = Run.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            _forget(file)  # its run had not begun
            continue
        if run.alive:
            continue
        if left_over := run.processes:
            report(f"ending {len(left_over)} processes that a killed run left behind")
            processes.end(left_over)
        _forget(file)


def _clear_locks(folder: Path, stack: str, report: Report) -> None:
    for lock in folder.glob("*.json"):
        holder = _json(lock) or {}  # empty: the write of the lock itself was cut off
        if _holds(holder):
            raise locked(stack, holder)
        report(f"clearing the lock of a dead run (process {holder.get('pid', 'unknown')})")
        lock.unlink(missing_ok=True)
    for rest in folder.glob("*"):
        rest.unlink(missing_ok=True)  # notes about locks, and locks whose writing was cut off


def _json(file: Path) -> dict[str, Any] | None:
    """Return the object in a file, None when there is no whole one."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _holds(holder: dict[str, Any]) -> bool:
    """Tell whether the holder of a lock may be alive."""
    try:
        pid, host = int(holder["pid"]), holder["hostname"]
        locked = dt.datetime.fromisoformat(str(holder["timestamp"])).timestamp()
    except (KeyError, ValueError, TypeError):
        return False  # no lock that the engine wrote to its end
    if host != socket.gethostname():
        return True  # another machine's run cannot be looked at from here
    if not processes.alive(pid):
        return False
    started = processes.started_at(pid)
    # A process that started after the lock was written only reuses the number; but a clock may have been set meanwhile.
    return started is None or started <= locked + 1 or processes.name_of(pid) == _ENGINE


def resolve(pending: Iterable[dict[str, Any]], open_vault: Callable[[], VaultClient], report: Report) -> list[Record]:
    """Return a record for each pending create that may have happened.

    Vault is opened only to look up an id that it draws itself. Raises CommandError if it does not answer.

    An interrupted update or delete needs nothing: its resource is still in the state, and the refresh reads what
    became of it.
    """
    found = []
    for operation in pending:
        resource = operation["resource"]
        if operation["type"] != "creating":
            continue
        kind, inputs = resource["type"], resource.get("inputs", {})
        if place := place_of(kind, inputs):
            drawn = open_vault().read(place)
            identity = str(drawn["id"]) if drawn else None
        else:
            identity = deterministic_id(kind, inputs)
        if identity is None:
            report(f"forgetting the interrupted create of {resource['urn']}: repeating it is harmless")
            continue
        if kind == _IN_TWO_STEPS and _remove_bare_login(open_vault(), identity):
            report(f"removing the login {identity}: the killed run had mounted it, and not configured it yet")
            continue
        report(f"looking whether the interrupted create of {identity} ({resource['type']}) happened")
        found.append(resource | {"id": identity, "outputs": {}})
    return found


def _remove_bare_login(vault: VaultClient, path: str) -> bool:
    """Remove a login method with neither configuration nor roles: nobody can have logged in with it.

    Return whether there was such a one. Raises CommandError.
    """
    mounted = f"{path}/" in (vault.read("sys/auth") or {})
    if not mounted or vault.read(f"auth/{path}/config") or vault.read(f"auth/{path}/role?list=true"):
        return False
    vault.request("DELETE", f"sys/auth/{path}")
    return True
