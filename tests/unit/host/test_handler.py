"""The resource as the engine drives it, on a fake host: validation, plans, partial states, ownership."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.host.pool import HostPool
from components.host.transport import UnreachableError
from components.host.transport_fake import FakeTransport
from toolchain.plugins.factory_host.host_state import TOKEN, HostStateHandler
from toolchain.plugins.factory_host.loop import Loop
from toolchain.plugins.factory_host.report import REPORT_VARIABLE
from toolchain.plugins.kit import UNKNOWN, Change, Context, InitializationError, ProviderError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
INPUTS: dict[str, Any] = {
    "host": {"address": "fake.example.test", "host_key": KEY, "ssh_config": ""},
    "credentials": {"private_key": "k"},
    "role": "base",
    "desired": {"files": {"/etc/a": {"content": "a\n"}, "/etc/b": {"content": "b\n"}}},
}
CREATE_BOTH = [{"item": f"files:/etc/{name}", "do": "create"} for name in "ab"]


@dataclass
class Fake:
    """A host and the handler that reaches it."""

    answers: dict[str, list[dict[str, Any]] | UnreachableError] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    reachable: bool = True
    warnings: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.handler = HostStateHandler(
            Loop(), HostPool(lambda *_: FakeTransport(self.answer, reachable=self.reachable))
        )
        self.plan(CREATE_BOTH)

    def answer(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(request)
        answer = self.answers[request["kind"]]
        if isinstance(answer, UnreachableError):
            raise answer
        return answer

    def plan(self, actions: list[dict[str, Any]], problems: list[dict[str, str]] | None = None, **facts: Any) -> None:
        plan = {"actions": actions, "problems": problems or [], "needs": []}
        self.answers["plan"] = [{"event": "result", "plan": plan, "plan_id": "1", "facts": facts}]

    def context(self, name: str = "x", **given: Any) -> Context:
        urn = f"urn:pulumi:dev::p::{TOKEN}::{name}"
        return Context(TOKEN, urn, warn=self.warnings.append, status=self.rows.append, **given)

    def checked(self, inputs: dict[str, Any], name: str = "x", **given: Any) -> dict[str, Any]:
        checked, failures = self.handler.check(self.context(name, **given), {}, inputs)
        assert failures == []
        return checked

    def failures(self, inputs: dict[str, Any], name: str = "x") -> dict[str, str]:
        return dict(self.handler.check(self.context(name), {}, inputs)[1])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fake]:
    monkeypatch.setenv(REPORT_VARIABLE, str(tmp_path / "report"))
    one = Fake()
    yield one
    one.handler.close()


def changed(**desired: Any) -> dict[str, Any]:
    return {**INPUTS, "desired": desired}


def error(code: str, **details: Any) -> list[dict[str, Any]]:
    return [{"event": "error", "error": {"code": code, "message": "it broke", **details}}]


def test_all_problems_are_told_at_once_by_their_paths(fake: Fake) -> None:
    wrong = {
        "host": {"address": "fake.example.test", "port": 0, "host_key": "nonsense"},
        "credentials": {"password": "canary"},
        "desired": {
            "files": {"/etc/a": {"mode": "rw"}, "relative": {"content": "x"}},
            "units": {"x.service": {"restart_on": ["files:/etc/none"]}},
            "pakages": {},
        },
    }
    found = fake.failures(wrong)
    assert set(found) == {
        "host.port",
        "host.host_key",
        "credentials.password",
        "role",
        'desired.files["/etc/a"].mode',
        "desired.files.relative",
        "desired.pakages",
    }
    assert "canary" not in str(found)
    assert fake.asked == []


def test_a_reference_to_nothing_is_told(fake: Fake) -> None:
    found = fake.failures(changed(units={"x.service": {"restart_on": ["files:/etc/none"]}}))
    assert list(found) == ["desired"]
    assert "names 'files:/etc/none', which this document does not have" in found["desired"]


def test_unknown_values_are_not_judged(fake: Fake) -> None:
    assert fake.failures({**INPUTS, "host": UNKNOWN}) == {}
    assert fake.failures({**INPUTS, "desired": UNKNOWN}) == {}
    assert fake.failures({**INPUTS, "host": {**INPUTS["host"], "address": UNKNOWN, "port": UNKNOWN}}) == {}
    assert fake.failures(changed(files={"/etc/a": {"content": UNKNOWN, "mode": UNKNOWN}})) == {}
    assert list(fake.failures(changed(files={"/etc/a": {"content": UNKNOWN, "mode": "x"}}))) == [
        'desired.files["/etc/a"].mode'
    ]


def test_two_spellings_of_one_document_are_no_difference(fake: Fake) -> None:
    plain = fake.checked(INPUTS)
    spelt = fake.checked(changed(files={"/etc/a": {"content": "a\n", "mode": "644"}, "/etc/b": {"content": "b\n"}}))
    assert fake.handler.diff(fake.context(), "i", plain, {}, spelt).detailed == {}


def test_a_secret_content_makes_the_file_secret(fake: Fake) -> None:
    secret = frozenset({("desired", "files", "/etc/a", "content")})
    files = fake.checked(INPUTS, secret_inputs=secret)["desired"]["files"]
    assert (files["/etc/a"]["secret"], files["/etc/b"]["secret"]) == (True, False)


def test_two_roles_cannot_claim_one_path_nor_have_one_name(fake: Fake) -> None:
    fake.checked(INPUTS, "first")
    found = fake.failures({**changed(files={"/etc/b": {"content": "c"}}), "role": "other"}, "second")
    assert found == {
        'desired.files["/etc/b"]': "is also claimed by the resource first on this host: one of them must have it alone"
    }
    assert "is also the role of the resource first" in fake.failures(changed(), "third")["role"]
    elsewhere = {**INPUTS, "host": {**INPUTS["host"], "address": "other.example.test"}}
    assert fake.failures(elsewhere, "fourth") == {}
    assert fake.failures(INPUTS, "first") == {}, "a resource is checked more than once"


def test_a_diff_names_exact_paths_and_ignores_how_the_host_is_reached(fake: Fake) -> None:
    old = fake.checked(INPUTS)
    new = fake.checked(changed(files={"/etc/a": {"content": "other\n"}, "/etc/c d": {"content": ""}}))
    assert fake.handler.diff(fake.context(), "i", old, {}, new).detailed == {
        'desired.files["/etc/a"].content': Change.UPDATE,
        'desired.files["/etc/b"]': Change.DELETE,
        'desired.files["/etc/c d"]': Change.ADD,
    }
    reached = {**old, "credentials": {"private_key": "new"}, "host": {**old["host"], "connect_timeout": 99}}
    assert fake.handler.diff(fake.context(), "i", old, {}, reached).detailed == {}
    moved = {**old, "host": {**old["host"], "address": "other.example.test"}}
    assert fake.handler.diff(fake.context(), "i", old, {}, moved).detailed == {"host.address": Change.UPDATE}


def test_a_preview_asks_the_host_and_changes_nothing(fake: Fake, tmp_path: Path) -> None:
    fake.plan([*CREATE_BOTH, {"item": "units:x.service", "do": "restart"}], [{"item": "files:/etc/a", "message": "no"}])
    made = fake.handler.create(fake.context(preview=True), fake.checked(INPUTS))
    assert made.identity == ""
    assert made.outputs["summary"] == {"files": {"count": 2, "names": ["/etc/a", "/etc/b"]}}
    assert [each["kind"] for each in fake.asked] == ["plan"]
    assert fake.rows[-1] == "files 2, restart x.service"
    assert fake.warnings == ["fake.example.test: files:/etc/a: no"]
    assert json.loads((tmp_path / "report").read_text())["interrupted"] == ["restart x.service"]


def test_a_preview_works_for_a_host_that_does_not_exist_yet(fake: Fake, tmp_path: Path) -> None:
    fake.reachable = False
    fake.handler.create(fake.context(preview=True), fake.checked(INPUTS))
    assert "cannot reach fake.example.test" in fake.warnings[0]
    assert json.loads((tmp_path / "report").read_text())["reachable"] is False
    unknown = {**INPUTS, "host": UNKNOWN}
    fake.handler.create(fake.context(preview=True), fake.checked(unknown))
    assert len(fake.warnings) == 1


@pytest.mark.parametrize("preview", [True, False])
def test_what_may_stop_a_run_half_way_is_said_once_before_anything_is_changed(fake: Fake, *, preview: bool) -> None:
    """Issue 4, deliver 6: of all the preflight facts the clock of a machine that has no battery."""
    fake.plan(CREATE_BOTH, clock=0.0)
    told: list[int] = []
    answer = fake.answer

    def watched(request: dict[str, Any]) -> list[dict[str, Any]]:
        told.append(len(fake.warnings))
        return answer(request)

    fake.answer = watched  # type: ignore[method-assign]
    fake.answers["apply"] = [{"event": "result", "applied": [], "owned": {}, "confirm": None}]
    for name in ("one", "two"):
        role = {**INPUTS, "role": name, "desired": {"files": {f"/etc/{name}": {"content": ""}}}}
        fake.handler.create(fake.context(name, preview=preview), fake.checked(role, name))
    assert told == ([0, 1] if preview else [0, 1, 1, 1])
    (warning,) = fake.warnings
    assert warning.startswith("fake.example.test: its clock is")
    assert "behind" in warning


def test_an_unknown_content_is_planned_as_a_change(fake: Fake) -> None:
    fake.handler.create(fake.context(preview=True), fake.checked(changed(files={"/etc/a": {"content": UNKNOWN}})))
    assert "known after" in fake.asked[0]["document"]["files"]["/etc/a"]["content"]


def test_what_was_done_is_kept(fake: Fake) -> None:
    fake.answers["apply"] = [{"event": "result", "applied": [], "owned": {"files": {"/etc/a": {}}}, "confirm": None}]
    made = fake.handler.create(fake.context(), fake.checked(INPUTS))
    assert made.identity == "base@fake.example.test"
    assert made.outputs["owned"] == {"files": {"/etc/a": {}}}
    assert ("hash_key",) in fake.handler.secrets(TOKEN, frozenset())
    again = fake.handler.update(fake.context(), "i", INPUTS, made.outputs, fake.checked(INPUTS))
    assert fake.asked[-2]["owned"] == {"files": {"/etc/a": {}}}
    assert again["hash_key"] == made.outputs["hash_key"]


def test_another_machine_owns_nothing_of_the_old_one(fake: Fake) -> None:
    fake.answers["apply"] = [{"event": "result", "applied": [], "owned": {}, "confirm": None}]
    moved = {**INPUTS, "host": {**INPUTS["host"], "address": "other.example.test"}}
    outputs = {"owned": {"files": {"/etc/a": {}}}, "hash_key": "00"}
    fake.handler.update(fake.context(), "i", INPUTS, outputs, fake.checked(moved))
    assert fake.asked[0]["owned"] == {}


def test_what_another_role_took_over_is_not_removed(fake: Fake) -> None:
    fake.answers["apply"] = [{"event": "result", "applied": [], "owned": {}, "confirm": None}]
    fake.checked({**changed(files={"/etc/b": {"content": "b"}}), "role": "other"}, "second")
    fake.handler.update(
        fake.context("first"),
        "i",
        INPUTS,
        {"owned": {"files": {"/etc/a": {}, "/etc/b": {}}}},
        fake.checked(changed(), "first"),
    )
    assert fake.asked[0]["owned"] == {"files": {"/etc/a": {}}}


def test_a_problem_of_the_plan_refuses_the_run(fake: Fake) -> None:
    fake.plan(CREATE_BOTH, [{"item": "files:/etc/a", "message": "a directory is in the way"}])
    with pytest.raises(ProviderError, match="nothing was changed: files:/etc/a: a directory is in the way") as failed:
        fake.handler.create(fake.context(), fake.checked(INPUTS))
    assert not isinstance(failed.value, InitializationError)
    assert [each["kind"] for each in fake.asked] == ["plan"]


def test_a_failure_in_the_middle_keeps_what_was_done(fake: Fake) -> None:
    fake.answers["apply"] = error(
        "failed", applied=["files:/etc/a"], not_applied=["files:/etc/b"], owned={"files": {"/etc/a": {}}}
    )
    with pytest.raises(InitializationError) as failed:
        fake.handler.create(fake.context(), fake.checked(INPUTS))
    assert failed.value.outputs["owned"] == {"files": {"/etc/a": {}}}
    assert failed.value.reasons == [
        "fake.example.test: it broke.",
        "applied before: files:/etc/a",
        "not applied: files:/etc/b",
    ]
    # The next run has a change to make even where a refresh finds every document as it should be.
    found = fake.handler.diff(fake.context(), "i", INPUTS, failed.value.outputs, INPUTS)
    assert found.detailed == {"interrupted": Change.DELETE}


def test_a_failure_before_the_first_change_leaves_no_state(fake: Fake) -> None:
    fake.answers["apply"] = error("failed", applied=[], not_applied=["files:/etc/a"], owned={})
    with pytest.raises(ProviderError) as failed:
        fake.handler.create(fake.context(), fake.checked(INPUTS))
    assert not isinstance(failed.value, InitializationError)


def test_a_host_lost_in_the_middle_leaves_a_state_that_the_next_run_goes_on_from(fake: Fake) -> None:
    fake.answers["apply"] = UnreachableError("gone")
    with pytest.raises(InitializationError, match="goes on from there") as failed:
        fake.handler.create(fake.context(), fake.checked(INPUTS))
    assert failed.value.outputs["interrupted"] is True


def test_an_interruption_by_the_user_keeps_what_was_done(fake: Fake) -> None:
    fake.answers["apply"] = []
    fake.answers["cancel"] = error("cancelled", applied=["files:/etc/a"], owned={"files": {"/etc/a": {}}})
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(InitializationError):
        fake.handler.create(fake.context(cancelled=cancelled), fake.checked(INPUTS))
    with pytest.raises(InitializationError):
        fake.handler.create(fake.context(timeout=0.2), fake.checked(INPUTS))


def test_a_read_lays_the_drift_over_the_documents(fake: Fake) -> None:
    inputs = fake.checked(INPUTS)
    drift = {"files": {"/etc/a": {"content": "edited\n"}, "/etc/b": None}}
    fake.answers["read"] = [{"event": "result", "drift": drift, "interrupted": False}]
    found = fake.handler.read(fake.context(), "i", inputs, {"owned": {}, "interrupted": True})
    assert found is not None
    assert fake.handler.diff(fake.context(), "i", found.inputs, found.outputs, inputs).detailed == {
        'desired.files["/etc/a"].content': Change.UPDATE,
        'desired.files["/etc/b"]': Change.ADD,
    }
    assert "interrupted" not in found.outputs
    fake.answers["read"] = [{"event": "result", "drift": {}, "interrupted": True}]
    found = fake.handler.read(fake.context(), "i", inputs, {"owned": {}})
    assert found is not None
    assert found.outputs["interrupted"] is True


def test_a_refresh_of_a_refreshed_state_still_compares_with_what_was_applied(fake: Fake) -> None:
    inputs = fake.checked(INPUTS, secret_inputs=frozenset({("desired", "files", "/etc/a", "content")}))
    outputs = {"desired": inputs["desired"], "owned": {}, "hash_key": "00"}
    drift = {"files": {"/etc/a": {"content_hmac": "ab"}, "/etc/b": None}}
    fake.answers["read"] = [{"event": "result", "drift": drift, "interrupted": False}]
    once = fake.handler.read(fake.context(), "i", inputs, outputs)
    assert once is not None
    assert "content" not in once.inputs["desired"]["files"]["/etc/a"]
    twice = fake.handler.read(fake.context(), "i", once.inputs, once.outputs)
    assert twice == once
    assert fake.asked[0] == fake.asked[1]
    fake.answers["apply"] = [{"event": "result", "applied": [], "owned": {}, "confirm": None}]
    fake.handler.delete(fake.context(), "i", once.inputs, once.outputs)


def test_an_unreachable_host_is_an_error_never_an_empty_state(fake: Fake) -> None:
    fake.reachable = False
    with pytest.raises(ProviderError, match=r"cannot reach fake\.example\.test.*--refresh=false"):
        fake.handler.read(fake.context(), "i", INPUTS, {})


def test_a_state_of_another_version_is_refused_without_its_values(fake: Fake) -> None:
    old = {**INPUTS, "credentials": {"password": "canary"}}
    with pytest.raises(ProviderError, match=r"credentials\.password: .*--refresh=false") as refused:
        fake.handler.read(fake.context(), "base@fake.example.test", old, {"desired": {}})
    assert "canary" not in str(refused.value)
    assert fake.asked == []


def test_an_import_is_explained(fake: Fake) -> None:
    with pytest.raises(ProviderError, match="describe the host and run `up`"):
        fake.handler.read(fake.context(), "i", {}, {})


def test_a_delete_asks_for_the_removal_of_what_is_owned(fake: Fake) -> None:
    fake.answers["apply"] = [{"event": "result", "applied": [], "owned": {}, "confirm": None}]
    fake.handler.delete(fake.context(), "i", INPUTS, {"owned": {"files": {"/etc/a": {}}}, "hash_key": "00"})
    assert (fake.asked[0]["delete"], fake.asked[0]["owned"]) == (True, {"files": {"/etc/a": {}}})
    fake.answers["apply"] = error("failed", applied=["files:/etc/a"], owned={})
    with pytest.raises(ProviderError) as failed:
        fake.handler.delete(fake.context(), "i", INPUTS, {"owned": {}})
    assert not isinstance(failed.value, InitializationError)
