"""A test machine as the host of roles: each call is a run of its own, with its own connection."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from components.host.agent import overlay, split
from components.host.args import HostStateArgs
from components.host.pool import HostPool
from components.host.remote_host import RemoteHost
from components.host.session import AgentError, HostSession
from components.host.transport_ssh import Login
from tests.support.machines import Machine

Document = dict[str, Any]
_Result = TypeVar("_Result")
_KEY = "00" * 32


@dataclass
class ManagedHost:
    """A machine, how it is reached, and what its role created so far (the state of a stack)."""

    machine: Machine
    host: RemoteHost
    sudo_password: str | None = None
    owned: dict[str, Any] = field(default_factory=dict)
    planned: list[Document] = field(default_factory=list)
    """The plans that `apply` carried out, the last one at the end."""

    @classmethod
    def of(cls, machine: Machine, *, sudo_password: str | None = None, **changed: object) -> ManagedHost:
        """Reach a machine as root, unless something else is said."""
        known = {"address": machine.address, "user": "root", "host_key": machine.keys.host_key, "ssh_config": None}
        patient = {"connect_timeout": 60}  # a busy machine is no reason to give up
        return cls(machine, RemoteHost.model_validate({**known, **patient, **changed}), sudo_password)

    def plan(self, desired: Document) -> list[str]:
        """Return what an apply would do, as `do item`."""
        return actions(self.asked(lambda session: session.plan(self.request(desired))))

    def problems(self, desired: Document) -> list[str]:
        """Return why a plan would be refused."""
        plan = self.asked(lambda session: session.plan(self.request(desired)))["plan"]
        return [f"{problem['item']}: {problem['message']}" for problem in plan["problems"]]

    def apply(self, desired: Document, *, delete: bool = False) -> list[str]:
        """Make it so; returns what was done, as `do item`. Raises HostError, and keeps what was created before."""
        try:
            self.owned = self.asked(lambda session: self.applied(session, desired, delete=delete))["owned"]
        except AgentError as error:
            self.owned = error.details.get("owned") or self.owned
            raise
        return actions(self.planned[-1])

    async def applied(self, session: HostSession, desired: Document, *, delete: bool = False) -> dict[str, Any]:
        """Make it so on a session that is there, and return the agent's result."""

        async def never() -> None:
            await asyncio.Event().wait()

        document, blobs = split(HostStateArgs.model_validate(desired).document())
        request = self.request(desired) | {"document": document} | ({"delete": True} if delete else {})
        return await session.apply(request, blobs, planned=self.planned.append, progress=lambda _line: None, stop=never)

    def read(self, desired: Document) -> Document:
        """Return the document of what is really there."""
        return self.asked(lambda session: self.found(session, desired))

    async def found(self, session: HostSession, desired: Document) -> Document:
        """Return the same on a session that is there."""
        found = await session.read(self.request(desired))
        return overlay(HostStateArgs.model_validate(desired).document(), found["drift"])

    def asked(self, work: Callable[[HostSession], Awaitable[_Result]]) -> _Result:
        """Do something on a session of its own."""

        async def run() -> _Result:
            pool = HostPool()
            try:
                login = Login(self.machine.keys.private_key)
                return await work(await pool.session(self.host, login, self.sudo_password))
            finally:
                await pool.close()

        return asyncio.run(run())

    def request(self, desired: Document) -> dict[str, Any]:
        """Write a document as the agent is asked about it."""
        document, _ = split(HostStateArgs.model_validate(desired).document())
        return {"document": document, "resource": "test", "owned": self.owned, "key": _KEY}


def actions(answer: Mapping[str, Any]) -> list[str]:
    """Write the actions of a plan as `do item`; a plan with problems is none."""
    assert answer["plan"]["problems"] == []
    return [f"{action['do']} {action['item']}" for action in answer["plan"]["actions"]]


def trace(machine: Machine, *paths: str) -> dict[str, tuple[int, int, int, str]]:
    """Inode, time of change, mode and content of files on a machine: what must not move in a run without changes."""
    found = {}
    for path in paths:
        file = machine.path(path)
        state = file.lstat()
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if _is_plain(file) else ""
        found[path] = (state.st_ino, state.st_mtime_ns, state.st_mode, digest)
    return found


def started(machine: Machine, unit: str) -> str:
    """When a unit became active, to the microsecond."""
    return machine.run("systemctl", "show", "--property=ActiveEnterTimestampMonotonic", "--value", unit).stdout.strip()


def _is_plain(file: Path) -> bool:
    return file.is_file() and not file.is_symlink()
