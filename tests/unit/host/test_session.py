"""The conversation with an agent, over a fake transport: order, errors, lost agents, confirmation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from components.host import RemoteHost, Sudo
from components.host.session import AgentError, HostSession, LostError
from components.host.transport import HostError, UnreachableError
from components.host.transport_fake import FakeTransport

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
HOST = RemoteHost(address="fake.example.test", host_key=KEY, root="/srv/test")
PLAN: dict[str, Any] = {"event": "result", "plan": {"actions": [{"item": "files:/a", "do": "create"}]}, "plan_id": "p"}
DONE: dict[str, Any] = {"event": "result", "applied": ["files:/a"], "owned": {"files": {"/a": {}}}, "confirm": None}

Answers = Callable[[dict[str, Any]], Iterable[dict[str, Any]]]


class Recorded:
    """Answers by kind of request, and what was asked."""

    def __init__(self, **by_kind: list[dict[str, Any]] | UnreachableError) -> None:
        self.asked: list[dict[str, Any]] = []
        self._by_kind = by_kind

    def __call__(self, request: dict[str, Any]) -> Iterable[dict[str, Any]]:
        self.asked.append(request)
        answer = self._by_kind.get(request["kind"], [])
        if isinstance(answer, UnreachableError):
            raise answer
        return answer


async def never() -> None:
    await asyncio.Event().wait()


async def apply(session: HostSession, **given: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"planned": lambda _plan: None, "progress": lambda _line: None, "stop": never}
    return await session.apply({"document": {}}, {}, **{**options, **given})


def session(answers: Answers, host: RemoteHost = HOST, **given: Any) -> HostSession:
    return HostSession(host, lambda: FakeTransport(answers), **given)


def test_plan_and_apply_are_two_requests_under_the_lock() -> None:
    answers = Recorded(plan=[PLAN], apply=[{"event": "progress", "text": "writing", "done": 1, "total": 2}, DONE])
    lines: list[str] = []
    result = asyncio.run(apply(session(answers), progress=lines.append))
    assert result["owned"] == DONE["owned"]
    assert [(each["kind"], "lock" in each) for each in answers.asked] == [("plan", True), ("apply", True)]
    assert answers.asked[0]["root"] == "/srv/test"
    assert answers.asked[1]["plan_id"] == "p"
    assert lines == ["[1/2] writing"]


def test_a_preview_and_a_read_take_no_lock() -> None:
    answers = Recorded(plan=[PLAN], read=[{"event": "result", "drift": {}}])

    async def work() -> None:
        one = session(answers)
        await one.plan({"document": {}})
        await one.read({"document": {}})

    asyncio.run(work())
    assert ["lock" in each for each in answers.asked] == [False, False]


def test_all_requests_of_a_run_share_one_agent() -> None:
    transport = FakeTransport(Recorded(plan=[PLAN], apply=[DONE]))

    async def work() -> None:
        one = HostSession(HOST, lambda: transport)
        await asyncio.gather(*(apply(one) for _ in range(5)))
        await one.close()

    asyncio.run(work())
    assert len(transport.commands) == 1


def test_a_refused_plan_changes_nothing() -> None:
    answers = Recorded(plan=[PLAN], apply=[DONE])

    def refuse(_plan: dict[str, Any]) -> None:
        raise HostError("no")

    with pytest.raises(HostError, match="no"):
        asyncio.run(apply(session(answers), planned=refuse))
    assert [each["kind"] for each in answers.asked] == ["plan"]


def test_an_error_of_the_agent_is_one_sentence_and_keeps_the_agent() -> None:
    error = {
        "code": "failed",
        "message": "running the step: false ended with status 1",
        "item": "steps:x",
        "command": ["sh", "-c", "exit 1"],
        "stderr": ["one", "two", "", "three", "four"],
        "owned": {},
    }
    transport = FakeTransport(Recorded(plan=[PLAN], apply=[{"event": "error", "error": error}]))

    async def work() -> None:
        one = HostSession(HOST, lambda: transport)
        for _ in range(2):
            with pytest.raises(AgentError) as failed:
                await apply(one)
            assert str(failed.value) == (
                "fake.example.test: steps:x: running the step: false ended with status 1 (command: sh -c 'exit 1'): "
                "two | three | four"
            )
            assert failed.value.details["owned"] == {}

    asyncio.run(work())
    assert len(transport.commands) == 1


def test_an_agent_lost_before_the_first_change_is_unreachable_and_after_it_lost() -> None:
    for lost, expected in (("plan", UnreachableError), ("apply", LostError)):
        by_kind: dict[str, Any] = {"plan": [PLAN], "apply": [DONE], lost: UnreachableError("gone")}
        answers = Recorded(**by_kind)
        with pytest.raises(HostError, match=r"fake\.example\.test: the agent was ended or the connection") as failed:
            asyncio.run(apply(session(answers)))
        assert type(failed.value) is expected


def test_the_next_request_after_a_loss_starts_a_new_agent() -> None:
    answers = Recorded(plan=UnreachableError("gone"), read=[{"event": "result", "drift": {}}])
    transport = FakeTransport(answers)

    async def work() -> dict[str, Any]:
        one = HostSession(HOST, lambda: transport)
        with pytest.raises(UnreachableError):
            await one.plan({"document": {}})
        return await one.read({"document": {}})

    assert asyncio.run(work())["drift"] == {}
    assert len(transport.commands) == 2


def test_an_agent_that_ended_while_nobody_asked_is_replaced_but_not_in_the_middle_of_a_plan() -> None:
    answers = Recorded(plan=[PLAN], apply=[DONE], read=[{"event": "result", "drift": {}}])
    transport = FakeTransport(answers)

    async def work() -> None:
        one = HostSession(HOST, lambda: transport)
        await one.read({"document": {}})
        transport.started[-1].kill()
        await one.read({"document": {}})
        assert len(transport.started) == 2
        with pytest.raises(LostError):
            await apply(one, planned=lambda _plan: transport.started[-1].kill())
        assert "apply" not in {each["kind"] for each in answers.asked}
        assert (await apply(one))["owned"] == DONE["owned"]

    asyncio.run(work())


def test_the_user_s_interruption_reaches_the_agent() -> None:
    cancelled = {"event": "error", "error": {"code": "cancelled", "message": "cancelled", "owned": {}}}
    answers = Recorded(plan=[PLAN], apply=[], cancel=[cancelled])

    async def soon() -> None:
        await asyncio.sleep(0.05)

    with pytest.raises(AgentError, match="cancelled"):
        asyncio.run(apply(session(answers), stop=soon))
    assert [each["kind"] for each in answers.asked][-1] == "cancel"


def test_a_dangerous_change_is_confirmed_over_a_fresh_connection() -> None:
    done = {**DONE, "confirm": {"token": "t", "timeout": 5}}
    made: list[FakeTransport] = []
    answers = Recorded(plan=[PLAN], apply=[done], confirm=[{"event": "result", "confirmed": True}])

    def connect() -> FakeTransport:
        made.append(FakeTransport(answers))
        return made[-1]

    asyncio.run(apply(HostSession(HOST, connect)))
    assert len(made) == 2
    assert answers.asked[-1] == {"kind": "confirm", "token": "t", "root": "/srv/test"}


def test_a_change_that_cuts_the_connection_is_told_as_taken_back() -> None:
    done = {**DONE, "confirm": {"token": "t", "timeout": 1}}
    made: list[FakeTransport] = []

    def connect() -> FakeTransport:
        made.append(FakeTransport(Recorded(plan=[PLAN], apply=[done]), reachable=not made))
        return made[-1]

    with pytest.raises(LostError, match="takes the change back, for it could not be confirmed: cannot reach") as lost:
        asyncio.run(apply(HostSession(HOST, connect)))
    assert lost.value.owned == DONE["owned"]


def test_an_unreachable_host_is_named() -> None:
    one = HostSession(HOST, lambda: FakeTransport(Recorded(), reachable=False))
    with pytest.raises(UnreachableError, match=r"cannot reach fake\.example\.test"):
        asyncio.run(one.read({"document": {}}))


def test_a_missing_sudo_password_is_told_before_anything_is_started() -> None:
    transport = FakeTransport(Recorded())
    one = HostSession(HOST.model_copy(update={"sudo": Sudo.PASSWORD}), lambda: transport)
    with pytest.raises(UnreachableError, match="no sudo_password is given"):
        asyncio.run(one.read({"document": {}}))
    assert transport.commands == []
