"""The server: it forks for each client, and kills the fork of a client that is gone."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import NoReturn

from .client import SIGNALLED, Request, mine

FILES = "--"
"""Stands between the modules that files wait for, and others."""
_REQUEST_BYTES = 1 << 20
_LINE_BYTES = 1 << 16
_FILES = 253
"""So many descriptors fit into one message."""


class Role:
    """What a fork is to be: the arguments, directory, environment and open files of its client."""

    def __init__(self, request: Request, received: list[int]) -> None:
        self._request = request
        self._files: dict[int, int] = dict(zip(request.files, received, strict=True))

    @property
    def file(self) -> bool:
        """Whether it runs a file: what that imports, the server is told."""
        return self._request.arguments[0] != "-m"

    def close(self) -> None:
        """Let the client's files go."""
        for file in self._files.values():
            os.close(file)

    def take(self) -> NoReturn:
        """Run it, in this process, as the interpreter would have; returns only by an exception."""
        beyond = max([*self._files, *self._files.values()]) + 1
        moved = {number: fcntl.fcntl(file, fcntl.F_DUPFD, beyond) for number, file in self._files.items()}
        self.close()
        for number, file in moved.items():
            os.dup2(file, number)
            os.close(file)
        request = self._request
        os.chdir(request.directory)
        os.environ.clear()
        os.environ.update(request.environment)
        first, *arguments = request.arguments
        module = first == "-m"
        if module:
            first, *arguments = arguments
        sys.argv = [first, *arguments]
        own = request.directory if module else str(Path(first).parent)
        given = filter(None, request.environment.get("PYTHONPATH", "").split(os.pathsep))
        sys.path[:] = dict.fromkeys([own, *given, *sys.path[1:]])
        status: int | None = None
        try:
            if module:
                runpy.run_module(first, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(first, run_name="__main__")
        except SystemExit as ended:
            if not isinstance(ended.code, int | None):
                raise  # the interpreter shows what it is
            status = ended.code
        leave(status or 0)


class Server:
    """Serves clients as long as its owner lives, and after that until the last fork has ended."""

    def __init__(self, listener: socket.socket, owner: int) -> None:
        self._listener = listener
        self._owner: int | None = owner
        self._said = b""
        self._forks: dict[int, tuple[int, socket.socket]] = {}
        """The client of each fork, by the fork's number, and a descriptor that tells when the fork has ended."""
        self._files_wait = True
        self._held: list[tuple[socket.socket, Role]] = []
        os.close(os.pidfd_open(os.getpid()))  # a system that cannot tell when a fork ends is found before there is one
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(owner, selectors.EVENT_READ, self._hear_owner)

    @property
    def modules(self) -> list[str]:
        """What the owner wants imported, with `FILES` among it."""
        return self._said.decode().split()

    def serve_until_told(self) -> Role | None:
        """Return when the owner has said its modules, or is gone; in a fork, what it is to be."""
        while self._owner is not None and not self._said.endswith(b"\n"):
            if role := _answered(self._selector.select()):
                return role
        return None

    def serve(self) -> Role | None:
        """Return None at the end; in a fork, what it is to be."""
        while self._owner is not None or self._forks:
            if role := _answered(self._selector.select()):
                return role
        return None

    def serve_between_imports(self) -> Role | None:
        """Return when nobody asks; in a fork, what it is to be.

        Who asks for a file is held until `serve_all_files`: its fork would import a second time what is about to be
        imported here. A fork that ends during an import is heard of after it.
        """
        while ready := self._selector.select(0):
            if role := _answered(ready):
                return role
        return None

    def serve_all_files(self) -> Role | None:
        """Fork also who asks for a file, from now on, and who has; in a fork, return what it is to be."""
        self._files_wait = False
        while self._held:
            if role := self._fork(*self._held.pop(0)):
                return role
        return None

    def _accept(self) -> Role | None:
        client, _ = self._listener.accept()
        role = _asked_for(client)
        if role is None:
            client.close()
            return None
        if self._files_wait and role.file:
            self._held.append((client, role))
            return None
        return self._fork(client, role)

    def _fork(self, client: socket.socket, role: Role) -> Role | None:
        fork = os.fork()
        if fork == 0:
            os.setpgid(0, 0)
            self._leave(client)
            return role
        with contextlib.suppress(OSError):  # both do it: whichever comes first
            os.setpgid(fork, fork)
        role.close()
        ended = os.pidfd_open(fork)
        self._forks[fork] = ended, client
        self._selector.register(ended, selectors.EVENT_READ, partial(self._end, fork))
        self._selector.register(client, selectors.EVENT_READ, partial(self._hear, fork, client))
        return None

    def _leave(self, client: socket.socket) -> None:
        """Close, in a fork, what belongs to the server."""
        self._selector.close()
        self._listener.close()
        client.close()
        for ended, other in self._forks.values():
            os.close(ended)
            other.close()
        for other, role in self._held:
            other.close()
            role.close()

    def _hear_owner(self) -> None:
        if self._owner is None:
            return
        heard = os.read(self._owner, _LINE_BYTES)
        self._said += heard
        if not heard:
            self._selector.unregister(self._owner)
            self._owner = None

    def _hear(self, fork: int, client: socket.socket) -> None:
        """Pass a client's signal on. A client that says nothing more was killed, and so is its fork."""
        try:
            heard = client.recv(1)
        except OSError:
            heard = b""
        if not heard:
            self._selector.unregister(client)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(fork, heard[0] if heard else signal.SIGKILL)

    def _end(self, fork: int) -> None:
        """Tell the client how its fork has ended."""
        _, state = os.waitpid(fork, 0)
        status = os.waitstatus_to_exitcode(state)
        ended, client = self._forks.pop(fork)
        self._selector.unregister(ended)
        os.close(ended)
        with contextlib.suppress(KeyError):  # the client is gone already
            self._selector.unregister(client)
        with contextlib.suppress(OSError):
            client.send(bytes([status if status >= 0 else SIGNALLED - status]))
        client.close()


def leave(status: int) -> NoReturn:
    """End this process as the interpreter ends, but without taking apart what it imported.

    That touches every object, so the system would first copy all that the forks share: a tenth of a second for each.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads; as `multiprocessing` does
    atexit._run_exitfuncs()  # noqa: SLF001 - has no other name
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _answered(ready: list[tuple[selectors.SelectorKey, int]]) -> Role | None:
    """Answer one at a time: what is done about it may close what the others are about."""
    (key, _), *_ = ready
    role: Role | None = key.data()
    return role


def _asked_for(client: socket.socket) -> Role | None:
    """Read a request; None if it is not this user's, or its sender is gone already."""
    try:
        message, files, _, _ = socket.recv_fds(client, _REQUEST_BYTES, _FILES) if mine(client) else (b"", [], 0, None)
    except OSError:
        return None
    return Role(Request.decode(message), files) if message else None
