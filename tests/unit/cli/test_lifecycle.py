"""In which order a run that changes a stack looks, plans, asks and begins."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli import engine, lifecycle, state_edit
from cli.session import Session
from cli.stack import Stack
from cli.state_edit import State
from tests.unit.cli.conftest import CommandLine
from toolchain.engine_home import EngineHome, PluginSet
from toolchain.paths import ROOT

REAL = "s3://states"
NAMESPACE = {
    "urn": "urn:pulumi:site::factory::kubernetes:core/v1:Namespace::ledger",
    "type": "kubernetes:core/v1:Namespace",
    "custom": True,
    "id": "ledger",
}


class Engine:
    """An engine that notes what it is asked for, and has a state in each backend."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.states: dict[str, State] = {REAL: {"version": 3, "deployment": {"resources": []}}}
        self.status = 0
        self.interrupted = False
        monkeypatch.setattr(engine, "capture", self.captured)
        monkeypatch.setattr(engine, "run", self.run)
        monkeypatch.setattr(state_edit, "store", self.store)
        monkeypatch.setattr(lifecycle, "open_session", self.opened)

    def opened(self, stack: Stack, _report: object) -> Session:
        home = EngineHome(Path("pulumi"), PluginSet.OFFICIAL, {})
        return Session(stack, home, {"PULUMI_BACKEND_URL": REAL, "PULUMI_STACK": stack.name})

    def captured(self, session: Session, arguments: list[str]) -> str:
        if arguments[:3] == ["stack", "tag", "ls"]:
            return json.dumps({"factory:plugins": "official"})
        if arguments[:2] == ["stack", "export"]:
            return json.dumps(self.states[self.backend(session)])
        assert arguments[:2] == ["stack", "init"], arguments
        return ""

    def store(self, session: Session, state: State) -> None:
        self.states[self.backend(session)] = state
        self.done.append(f"store in {self.backend(session)}")

    def run(self, session: Session, arguments: list[str], **_: object) -> int:
        owned = ", ".join(urn.rpartition("::")[2] for urn in state_edit.resources(self.states[self.backend(session)]))
        self.done.append(f"{arguments[0]} in {self.backend(session)} with {owned or 'nothing'}")
        if self.interrupted:
            raise KeyboardInterrupt
        return self.status

    def backend(self, session: Session) -> str:
        url = session.environment["PULUMI_BACKEND_URL"]
        return url if url == REAL else "scratch"

    @property
    def owned(self) -> set[str]:
        """What the stack itself has."""
        return set(state_edit.resources(self.states[REAL]))


@pytest.fixture
def site(factory: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    shutil.copy(ROOT / "tests/fixtures/settings/accept/nothing-to-build/Pulumi.site.yaml", factory.root)
    (factory.root / "adopt.json").write_text(
        json.dumps({"stack": "site", "section": "apps.ledger", "resources": [NAMESPACE]})
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    return Engine(monkeypatch)


def up(factory: CommandLine, *more: str) -> Any:
    return factory("up", "--stack", "site", "--adopt", str(factory.root / "adopt.json"), *more)


@pytest.mark.parametrize("answer", ["no", "site"])
def test_what_is_adopted_enters_the_state_when_the_plan_is_agreed_to(
    factory: CommandLine, site: Engine, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("builtins.input", lambda _question: answer)
    done = up(factory)
    planned = ["store in scratch", "preview in scratch with ledger"]
    if answer == "site":
        assert done.status == 0, done.err
        assert site.done == [*planned, f"store in {REAL}", f"up in {REAL} with ledger"]
        assert site.owned == {NAMESPACE["urn"]}
    else:
        assert (done.status, "nothing was changed" in done.err) == (1, True)
        assert site.done == planned
        assert site.owned == set()


def test_a_plan_that_fails_or_is_interrupted_adopts_nothing(factory: CommandLine, site: Engine) -> None:
    site.status = 1
    assert up(factory, "--yes").status == 1
    site.interrupted = True
    assert up(factory, "--yes").status == 130
    assert site.owned == set()
    assert not [line for line in site.done if REAL in line]


def test_a_refused_run_adopts_nothing(factory: CommandLine, site: Engine) -> None:
    """Protected data that the file no longer has."""
    site.states[REAL]["deployment"]["resources"] = [
        {"urn": "urn:pulumi:site::factory::x$vault:index/mount:Mount::kv", "type": "x", "protect": True}
    ]
    before = site.owned
    done = up(factory, "--yes")
    assert (done.status, "so nothing was changed" in done.err) == (1, True)
    assert (site.done, site.owned) == ([], before)


def test_a_destroy_begins_with_the_credentials_of_today(factory: CommandLine, site: Engine) -> None:
    """Its own refresh asks with the providers that the state has; without one there is nothing to bring up to date."""
    assert factory("destroy", "--stack", "site", "--yes").status == 0
    assert site.done == [f"destroy in {REAL} with nothing"]
    site.done.clear()
    kind = "pulumi:providers:vault"
    provider = {"urn": f"urn:pulumi:site::factory::{kind}::vault", "type": kind, "inputs": {"version": "7.0.0"}}
    mount = {"urn": "urn:pulumi:site::factory::m::kv", "type": "m", "provider": f"{provider['urn']}::an-id"}
    site.states[REAL]["deployment"]["resources"] = [provider, mount]
    assert factory("destroy", "--stack", "site", "--yes").status == 0
    assert site.done == [f"destroy in {REAL} with vault, kv"], "this provider has no login"
    site.done.clear()
    provider["inputs"] = {"version": "7.0.0", "token": "old"}
    assert factory("destroy", "--stack", "site", "--yes").status == 0
    assert site.done == [f"{command} in {REAL} with vault, kv" for command in ("refresh", "destroy")]
    site.done.clear()
    site.status = 1
    assert factory("destroy", "--stack", "site", "--yes").status == 1
    assert site.done == [f"refresh in {REAL} with vault, kv"], "nothing is removed where that fails"


def test_without_anything_to_adopt_the_plan_is_of_the_state_itself(factory: CommandLine, site: Engine) -> None:
    done = factory("up", "--stack", "site", "--yes")
    assert done.status == 0, done.err
    assert site.done == [f"preview in {REAL} with nothing", f"up in {REAL} with nothing"]
