"""A duty of the supervisor complains once, however long it goes on, and keeps no list of what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from sandbox.duties import Duty
from sandbox.errors import SandboxError


def told(answers: Sequence[Exception | None]) -> list[str]:
    """Return what a duty says that ends like this, tick by tick."""
    left, said = iter(answers), list[str]()

    async def do(_api: httpx.AsyncClient) -> None:
        if (answer := next(left)) is not None:
            raise answer

    async def ticks() -> None:
        duty = Duty(do, said.append)
        async with httpx.AsyncClient() as api:
            for _ in answers:
                await duty.tick(api)

    asyncio.run(ticks())
    return said


def test_the_same_complaint_is_told_once() -> None:
    assert told([SandboxError("refused")] * 50) == ["refused"]


def test_it_is_told_again_after_it_was_over_and_a_new_one_at_once() -> None:
    refused, other = SandboxError("refused"), SandboxError("forbidden")
    assert told([refused, None, refused, other, other]) == ["refused", "refused", "forbidden"]


def test_a_backend_that_is_down_is_the_records_business_and_no_end_of_the_complaint() -> None:
    refused = SandboxError("refused")
    assert told([refused, httpx.ConnectError("down"), refused]) == ["refused"]
