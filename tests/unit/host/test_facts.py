"""Facts of a host as the engine finds them out: in the check, kept when the host is silent, never a change of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.host.pool import HostPool
from components.host.transport_fake import FakeTransport
from toolchain.plugins.factory_host.host_facts import TOKEN, HostFactsHandler
from toolchain.plugins.factory_host.loop import Loop
from toolchain.plugins.kit import UNKNOWN, Context, ProviderError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
INPUTS: dict[str, Any] = {
    "host": {"address": "fake.example.test", "host_key": KEY, "ssh_config": ""},
    "credentials": {"private_key": "k"},
    "checks": {
        "address": {"command": ["show"], "contains": "10.9.0.4", "likely_cause": "look at the cable"},
        "quiet": {"command": ["true"]},
    },
}
RIGHT = {"status": 0, "stdout": "10.9.0.4/24\n", "stderr": ""}
QUIET = {"status": 0, "stdout": "", "stderr": ""}


@dataclass
class Device:
    """A host, the handler that reaches it, and the engine's part."""

    answers: dict[str, dict[str, Any]] = field(default_factory=lambda: {"address": RIGHT, "quiet": QUIET})
    asked: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    silent: bool = False

    def __post_init__(self) -> None:
        self.loop = Loop()
        self.pool = HostPool(lambda *_: FakeTransport(self.answer, reachable=not self.silent))
        self.handler = HostFactsHandler(self.loop, self.pool)
        self.context = Context(TOKEN, f"urn:pulumi:dev::p::{TOKEN}::x", preview=True, warn=self.warnings.append)

    def answer(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(request)
        return [
            {
                "event": "result",
                "kind": "check",
                "checks": {key: {"error": None, **self.answers[key]} for key in request["checks"]},
            }
        ]

    def check(self, inputs: dict[str, Any] = INPUTS, olds: dict[str, Any] | None = None) -> Any:
        return self.handler.check(self.context, olds or {}, {**inputs, "found": None})


@pytest.fixture
def device() -> Iterator[Device]:
    one = Device()
    yield one
    one.loop.finish(one.pool.close())


def test_a_preview_already_knows_the_facts(device: Device) -> None:
    inputs, failures = device.check()
    assert failures == []
    assert inputs["found"] == {"address": "10.9.0.4/24"}
    assert [request["kind"] for request in device.asked] == ["check"]
    made = device.handler.create(device.context, inputs)
    assert (made.identity, made.outputs) == ("fake.example.test", {"found": {"address": "10.9.0.4/24"}})


def test_a_wrong_fact_ends_the_run_before_anything_with_its_cause(device: Device) -> None:
    device.answers["address"] = {"status": 1, "stdout": "", "stderr": "eth0 has no address"}
    _, failures = device.check()
    assert [failure.path for failure in failures] == ["checks.address"]
    assert failures[0].reason == ("fake.example.test: look at the cable (found: exit status 1, 'eth0 has no address')")


def test_a_silent_host_keeps_its_last_facts_and_says_so(device: Device) -> None:
    device.silent = True
    old, _ = device.check(olds={"found": {"address": "10.9.0.4/24"}})
    assert old["found"] == {"address": "10.9.0.4/24"}
    assert "cannot reach fake.example.test" in device.warnings[0]
    assert "the last known facts are used" in device.warnings[0]
    first, failures = device.check()
    assert (first["found"], failures) == ({}, [])


def test_an_agent_that_fails_is_one_sentence(device: Device) -> None:
    device.pool = HostPool(
        lambda *_: FakeTransport(
            lambda _request: [{"event": "error", "error": {"code": "failed", "message": "no root"}}]
        )
    )
    device.handler = HostFactsHandler(device.loop, device.pool)
    with pytest.raises(ProviderError, match=r"^fake\.example\.test: no root\.$"):
        device.check()


def test_only_another_fact_or_another_host_is_a_change(device: Device) -> None:
    inputs, _ = device.check()

    def changes(**news: Any) -> list[str]:
        return sorted(device.handler.diff(device.context, "x", inputs, {}, {**inputs, **news}).detailed)

    assert changes() == []
    assert changes(checks={}, credentials={}) == []
    assert changes(found={"address": "10.9.0.5/24"}) == ["found.address"]
    assert changes(host={**INPUTS["host"], "address": "other.example.test"}) == ["host.address"]


def test_what_is_not_known_yet_is_not_asked(device: Device) -> None:
    inputs, failures = device.check({**INPUTS, "host": UNKNOWN})
    assert (inputs["found"], failures, device.asked) == ({}, [], [])


def test_bad_questions_are_refused_by_their_path(device: Device) -> None:
    _, failures = device.check({**INPUTS, "checks": {"a": {"command": ["x"], "port": 3}}})
    assert [failure.path for failure in failures] == ["checks.a"]
    assert device.asked == []


def test_the_login_stays_secret(device: Device) -> None:
    assert ("credentials", "private_key") in device.handler.secrets(TOKEN, frozenset())


def test_a_refresh_asks_nothing_and_the_end_removes_nothing(device: Device) -> None:
    outputs = {"found": {"address": "10.9.0.4/24"}}
    state = device.handler.read(device.context, "x", INPUTS, outputs)
    assert state is not None
    assert (state.inputs, state.outputs) == (INPUTS, outputs)
    device.handler.delete(device.context, "x", INPUTS, outputs)
    assert device.asked == []
