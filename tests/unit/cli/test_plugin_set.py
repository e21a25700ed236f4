"""A state is used with the plugins that made it; which those are is asked of the engine only where no file tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli import engine, plugin_set
from cli.errors import CommandError
from cli.session import PluginSet, Session
from cli.stack import Stack
from toolchain.engine_home import EngineHome

OURS = {"factory:plugins": "local"}
TAGS = {"version": 1, "tags": OURS}


class Engine:
    """An engine that knows the tags of one stack, and notes what it is asked."""

    def __init__(self, tags: dict[str, str]) -> None:
        self.tags = tags
        self.asked: list[str] = []

    def capture(self, _session: Session, arguments: Sequence[str]) -> str:
        self.asked.append(" ".join(arguments[:3]))
        return json.dumps(self.tags)


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    """The folder in which a file backend keeps the states."""
    folder = tmp_path / "backend" / ".pulumi" / "stacks" / "factory"
    folder.mkdir(parents=True)
    (folder / "home.json").write_text("{}")
    return folder


@pytest.fixture
def session(stacks: Path) -> Session:
    stack = Stack("home", stacks / "Pulumi.home.yaml", "sandbox", embedded=True, config={})
    home = EngineHome(Path("pulumi"), PluginSet.LOCAL, {})
    return Session(stack, home, {"PULUMI_BACKEND_URL": stacks.parents[2].as_uri()})


def asked_of(session: Session, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str]) -> list[str]:
    """Check the plugin set with an engine that has these tags; return what it was asked."""
    asked = Engine(tags)
    monkeypatch.setattr(engine, "capture", asked.capture)
    plugin_set.check(session)
    return asked.asked


def test_a_file_backend_is_read_without_the_engine(
    session: Session, stacks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stacks / "home.pulumi-tags").write_text(json.dumps(TAGS))
    assert asked_of(session, monkeypatch, {}) == []


def test_the_other_set_is_refused(session: Session, stacks: Path) -> None:
    (stacks / "home.pulumi-tags").write_text(json.dumps({"version": 1, "tags": {"factory:plugins": "official"}}))
    with pytest.raises(CommandError, match="made with the official provider plugins"):
        plugin_set.check(session)


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", "{", json.dumps(TAGS | {"version": 2}), json.dumps({"version": 1, "tags": {}}), '{"version": 1}'],
)
def test_the_engine_is_asked_where_its_file_does_not_tell(
    session: Session, stacks: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (stacks / "home.pulumi-tags").write_text(content)
    assert asked_of(session, monkeypatch, OURS) == ["stack tag ls"]


def test_a_stack_without_a_state_is_left_to_the_engine(
    session: Session, stacks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stacks / "home.pulumi-tags").write_text(json.dumps(TAGS))
    (stacks / "home.json").unlink()
    assert asked_of(session, monkeypatch, {}) == ["stack tag ls", "stack tag set"]
