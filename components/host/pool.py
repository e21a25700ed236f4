"""The hosts of one run: one session each, however many roles ask for it."""

import asyncio
import getpass
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

from .agent import OUR_BYTECODE, bundle
from .remote_host import RemoteHost
from .session import HostSession
from .transport import Transport
from .transport_ssh import JumpConnections, Login, SshTransport

__all__ = ["HostPool"]


class HostPool:
    """Sessions by host. All calls belong on one event loop."""

    def __init__(self, transport: Callable[[RemoteHost, Login], Transport] | None = None) -> None:
        """Reach hosts over SSH, or as ``transport`` says."""
        self._sessions: dict[tuple[str, int, str], tuple[object, HostSession]] = {}
        self._jumps = JumpConnections()
        self._transport = transport or self._ssh
        # The agent's program is ready when the first host answers: the engine asks for one only a moment later.
        threading.Thread(target=bundle, args=(OUR_BYTECODE,), daemon=True).start()

    async def session(self, host: RemoteHost, login: Login, sudo_password: str | None = None) -> HostSession:
        """Return the session of a host. One that is described differently now ends first, and with it its lock."""
        described = (host, login, sudo_password)
        known = self._sessions.get(host.identity)
        if known is not None and known[0] == described:
            return known[1]
        connect = partial(self._transport, host, login)
        session = HostSession(host, connect, sudo_password=sudo_password, holder=_holder())
        self._sessions[host.identity] = (described, session)
        if known is not None:
            await known[1].retire()
        return session

    async def close(self) -> None:
        """End all agents and disconnect."""
        sessions = [session for _, session in self._sessions.values()]
        self._sessions.clear()
        await asyncio.gather(*(session.close() for session in sessions), return_exceptions=True)
        await self._jumps.close()

    def _ssh(self, host: RemoteHost, login: Login) -> Transport:
        return SshTransport(host, login, jumps=self._jumps)


def _holder() -> str:
    """Say who holds a host's lock, for whoever finds it held."""
    return f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"
