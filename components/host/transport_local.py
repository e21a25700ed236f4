"""The machine itself, without a network: for tests, and for a host that manages itself."""

import asyncio
from typing import Final

from .transport import UnreachableError

__all__ = ["LocalChannel", "LocalTransport"]

_READ_BYTES: Final = 256 * 1024
_STDERR_BYTES: Final = 8 * 1024


class LocalChannel:
    """A child process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("a channel needs a process whose three streams are pipes")
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._stderr = asyncio.create_task(_tail(process.stderr))

    async def send(self, data: bytes) -> None:
        """Write to its standard input."""
        try:
            self._stdin.write(data)
            await self._stdin.drain()
        except OSError:
            raise UnreachableError("the program on this machine has ended") from None

    async def receive(self) -> bytes:
        """Return what it has written since; empty at the end."""
        return await self._stdout.read(_READ_BYTES)

    async def ended(self) -> tuple[int | None, str]:
        """Wait for its end."""
        words = await self._stderr
        status = await self._process.wait()
        return (None if status < 0 else status), words

    def kill(self) -> None:
        """End it."""
        if self._process.returncode is None:
            self._process.kill()

    def finish(self) -> None:
        """Close its standard input, at which a well-behaved program ends."""
        self._stdin.close()


class LocalTransport:
    """Runs programs as children of this process."""

    place = "this machine"

    def __init__(self) -> None:
        self._channels: list[LocalChannel] = []

    async def connect(self) -> None:
        """Nothing is needed."""

    async def start(self, command: str) -> LocalChannel:
        """Start a command of the shell."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("sh", "-c", command, stdin=pipe, stdout=pipe, stderr=pipe)
        channel = LocalChannel(process)
        self._channels.append(channel)
        return channel

    async def close(self) -> None:
        """Close the programs' inputs and wait for their ends."""
        for channel in self._channels:
            channel.finish()
            while await channel.receive():
                pass  # what nobody reads would keep its pipe open
            await channel.ended()
        self._channels.clear()


async def _tail(stream: asyncio.StreamReader) -> str:
    kept = b""
    while piece := await stream.read(_READ_BYTES):
        kept = (kept + piece)[-_STDERR_BYTES:]
    return kept.decode("utf-8", "replace")
