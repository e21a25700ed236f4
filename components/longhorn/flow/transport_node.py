"""Nodes over the transports of :mod:`...host`: SSH with pinned keys, or the machine itself (LHR-180, LHR-181)."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

from ...host.transport import HostError, Transport
from .interfaces import Completed, NodeError

__all__ = ["TransportNode"]

_T = TypeVar("_T")
_PIECE: Final = 64 * 1024
_PUT: Final = """
set -eu
umask 077
mkdir -p "$(dirname "$1")"
head -c "$2" > "$1.partial"
[ "$(wc -c < "$1.partial")" -eq "$2" ]
chmod "$3" "$1.partial"
sync "$1.partial"
mv "$1.partial" "$1"
"""
_PUT_SECONDS: Final = 300


class TransportNode:
    """A node behind a transport, with an event loop of its own, so that plain code can use it from any thread."""

    def __init__(self, name: str, transport: Transport, *, become: Sequence[str] = ()) -> None:
        """``become`` is put before each command where the login is not root, for instance ``("sudo", "-n")``."""
        self._name = name
        self._transport = transport
        self._become = tuple(become)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"node {name}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Longhorn's name for the node."""
        return self._name

    def run(self, command: Sequence[str], *, timeout: float = 60) -> Completed:
        """Run a command as root; a lost connection or a timeout raises NodeError."""
        return self._wait(self._run(command, b""), timeout)

    def put(self, content: bytes, target: str, mode: int = 0o644) -> None:
        """Write a file: whole, or not at all."""
        command = ("sh", "-c", _PUT, "factory-put", target, str(len(content)), f"{mode:o}")
        done = self._wait(self._run(command, content), _PUT_SECONDS)
        if done.status:
            message = f"{self._name}: {target} could not be written: {done.err.strip()[-300:]}"
            raise NodeError(message)

    def close(self) -> None:
        """Disconnect and end the loop."""
        self._wait(self._transport.close(), 30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _run(self, command: Sequence[str], given: bytes) -> Completed:
        channel = await self._transport.start(shlex.join([*self._become, *command]))
        try:
            # A command that ended before it took its input says why itself: its status and words come below.
            with contextlib.suppress(HostError):
                for start in range(0, len(given), _PIECE):
                    await channel.send(given[start : start + _PIECE])
            pieces = []
            while piece := await channel.receive():
                pieces.append(piece)
            status, words = await channel.ended()
        except asyncio.CancelledError:
            channel.kill()
            raise
        if status is None:
            message = f"{self._name}: the connection was lost while {command[0]} ran"
            raise NodeError(message)
        return Completed(status, b"".join(pieces).decode("utf-8", "replace"), words)

    def _wait(self, work: Coroutine[Any, Any, _T], timeout: float) -> _T:
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout), self._loop)
        try:
            return future.result()
        except HostError as error:
            message = f"{self._name}: {error}"
            raise NodeError(message) from error
        except TimeoutError as error:
            message = f"{self._name}: no end after {timeout:g} s"
            raise NodeError(message) from error
