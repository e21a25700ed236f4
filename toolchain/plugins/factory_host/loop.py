"""The event loop on which all connections live, and how a request's thread waits for work there."""

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from toolchain.plugins.kit import Context, ProviderError

__all__ = ["Loop", "Work"]

_Result = TypeVar("_Result")

_POLL_SECONDS: Final = 0.1
_GRACE_SECONDS: Final = 30.0
"""How long work may take to stop by itself: longer than the agent needs to end a command."""
_CLOSE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Work:
    """What a piece of work can say and hear while it runs."""

    progress: Callable[[str], None]
    """Shows a line on the resource's row."""
    stopped: Callable[[], Awaitable[None]]
    """Returns when the user interrupts the run, or the time that the user gave is over."""


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="hosts").start()

    def run(self, context: Context, work: Callable[[Work], Coroutine[Any, Any, _Result]]) -> _Result:
        """Run work to its end, showing its progress; work that does not stop when it should is given up."""
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        stop = asyncio.Event()

        async def stopped() -> None:
            await stop.wait()

        future = asyncio.run_coroutine_threadsafe(work(Work(lines.put, stopped)), self._loop)
        deadline = time.monotonic() + (context.timeout or float("inf"))
        given_up = float("inf")
        while not wait([future], _POLL_SECONDS).done:
            _show(context, lines)
            now = time.monotonic()
            if given_up == float("inf") and (context.cancelled.is_set() or now > deadline):
                self._loop.call_soon_threadsafe(stop.set)
                given_up = now + _GRACE_SECONDS
            if now > given_up:
                future.cancel()
                raise ProviderError(
                    "the work on the host did not stop and was given up; the next run goes on from there."
                )
        return future.result()

    def finish(self, last: Coroutine[Any, Any, None]) -> None:
        """Run the last work, but not for long."""
        wait([asyncio.run_coroutine_threadsafe(last, self._loop)], _CLOSE_SECONDS)


def _show(context: Context, lines: "queue.SimpleQueue[str]") -> None:
    """Show the newest line: the row has room for one."""
    newest = ""
    while not lines.empty():
        newest = lines.get()
    if newest:
        context.status(newest)
