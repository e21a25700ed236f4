"""How bytes reach a program on a host, whatever is in between. What is sent over it is :mod:`.session`'s business."""

from typing import Protocol

__all__ = ["Channel", "HostError", "MisdescribedError", "Transport", "UnreachableError"]


class HostError(Exception):
    """Something failed on the way to a host or there: one sentence that names the host, without secrets."""


class UnreachableError(HostError):
    """The host does not answer, or does not let us in. What it looks like is therefore not known."""


class MisdescribedError(UnreachableError):
    """How the host is reached is described wrongly: another key, a wrong password. To wait for it heals nothing."""


class Channel(Protocol):
    """A running program on the host."""

    async def send(self, data: bytes) -> None:
        """Write to its standard input. Raises UnreachableError when the connection is gone."""

    async def receive(self) -> bytes:
        """Return what it has written since, at least one byte; empty when it has closed its output."""

    async def ended(self) -> tuple[int | None, str]:
        """Wait for its end: the exit status (None: unknown, a signal or a lost connection) and the end of stderr."""

    def kill(self) -> None:
        """End it without waiting; the host may notice later."""


class Transport(Protocol):
    """A way to one host."""

    @property
    def place(self) -> str:
        """How messages name the host."""

    async def connect(self) -> None:
        """Connect, unless that is done. Raises UnreachableError."""

    async def start(self, command: str) -> Channel:
        """Start a command of the host's shell, connecting first. Raises UnreachableError."""

    async def close(self) -> None:
        """Disconnect; programs that still run there see the end of their input."""
