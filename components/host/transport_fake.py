"""A host that exists only in a test: a function answers the requests that an agent would."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from .agent import FrameParser, bundle, json_frame
from .transport import UnreachableError

__all__ = ["FakeChannel", "FakeTransport"]

Answers = Callable[[dict[str, Any]], Iterable[dict[str, Any]]]
"""Gives the frames that answer one request. Raising UnreachableError ends the agent there."""


class FakeChannel:
    """An agent that is a function."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._parser = FrameParser()
        self._before = len(bundle())
        self._written: asyncio.Queue[bytes] = asyncio.Queue()
        self._written.put_nowait(json_frame({"event": "hello"}))
        self._over = False

    async def send(self, data: bytes) -> None:
        """Answer the requests in it; what comes before them is the agent's program."""
        if self._over:
            raise UnreachableError("the fake agent has ended")
        program, data = data[: self._before], data[self._before :]
        self._before -= len(program)
        for request in self._parser.feed(data):
            if request == {"kind": "end"}:
                self.kill()
                return
            try:
                for frame in self._answers(request):
                    self._written.put_nowait(json_frame(frame))
            except UnreachableError:
                self.kill()

    async def receive(self) -> bytes:
        """Return the next frame; empty after the end."""
        return b"" if self._over and self._written.empty() else await self._written.get()

    async def ended(self) -> tuple[int | None, str]:
        """Tell the end that a killed program has."""
        return None, ""

    def kill(self) -> None:
        """End it."""
        self._over = True
        self._written.put_nowait(b"")


class FakeTransport:
    """Starts fake agents, or refuses to."""

    def __init__(self, answers: Answers, *, place: str = "fake.example.test", reachable: bool = True) -> None:
        self.place = place
        self.reachable = reachable
        self.commands: list[str] = []
        """Every command that was started."""
        self.started: list[FakeChannel] = []
        """The agents that these started."""
        self._answers = answers

    async def connect(self) -> None:
        """Refuse, if the host is not to be reached."""
        if not self.reachable:
            raise UnreachableError(f"cannot reach {self.place}: it is not there")

    async def start(self, command: str) -> FakeChannel:
        """Start an agent."""
        await self.connect()
        self.commands.append(command)
        self.started.append(FakeChannel(self._answers))
        return self.started[-1]

    async def close(self) -> None:
        """Nothing is open."""
