"""How the program waits for its outputs at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi.runtime.settings import SETTINGS

from toolchain.language_host.run_program import _wait_for_all

MANY = 5000


@pytest.fixture(autouse=True)
def nothing_else() -> Iterator[None]:
    SETTINGS.outputs.clear()
    yield
    SETTINGS.outputs.clear()


async def output(turns: int, error: Exception | None = None) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    if error is not None:
        raise error


def started(work: Any) -> asyncio.Task[None]:
    task: asyncio.Task[None] = asyncio.ensure_future(work)
    SETTINGS.outputs.add(task)
    return task


def test_all_outputs_are_waited_for_and_those_they_make() -> None:
    made: list[asyncio.Task[None]] = []

    async def parent() -> None:
        await asyncio.sleep(0)
        made.append(started(output(3)))

    async def program() -> None:
        made.extend(started(output(number % 7)) for number in range(MANY))
        made.append(started(parent()))
        await _wait_for_all()

    asyncio.run(program())
    assert len(made) == MANY + 2
    assert all(task.done() for task in made)
    assert not SETTINGS.outputs


def test_a_failed_output_is_told_while_others_still_wait() -> None:
    async def program() -> None:
        endless = started(asyncio.sleep(3600))
        started(output(2, ValueError("this one")))
        try:
            await _wait_for_all()
        finally:
            endless.cancel()

    with pytest.raises(ValueError, match="this one"):
        asyncio.run(program())


def test_outputs_can_be_left_alone() -> None:
    async def program() -> bool:
        endless = started(asyncio.sleep(3600))
        await _wait_for_all(await_all_outstanding_tasks=False)
        waited = endless.done()
        endless.cancel()
        return waited

    assert not asyncio.run(program())
