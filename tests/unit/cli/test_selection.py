"""Which stack a command is about: the option, PULUMI_STACK, what `pulumi stack select` noted, the sandbox."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cli.errors import InputError
from cli.stack import select
from tests.unit.cli.conftest import CommandLine

BACKEND = "file:///states"


@pytest.fixture
def selected(factory: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three stacks; the engine notes `chosen` for one backend and `other` for another."""
    for name in ("sandbox", "chosen", "other", "named"):
        (factory.root / f"Pulumi.{name}.yaml").touch()
    home = tmp_path / "pulumi"
    (home / "workspaces").mkdir(parents=True)
    identity = hashlib.sha1(str(factory.root / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    stacks = {BACKEND: "organization/factory/chosen", "s3://states": "organization/factory/other"}
    (home / "workspaces" / f"factory-{identity}-workspace.json").write_text(json.dumps({"stacks": stacks}))
    (home / "credentials.json").write_text(json.dumps({"current": BACKEND}))
    monkeypatch.setenv("PULUMI_HOME", str(home))


@pytest.mark.usefixtures("selected")
def test_the_option_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_STACK", "other")
    assert select("named").name == "named"


@pytest.mark.usefixtures("selected")
def test_the_variable_wins_over_the_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_STACK", "organization/factory/other")
    assert select(None).name == "other"


@pytest.mark.usefixtures("selected")
def test_the_selection_of_the_backend_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert select(None).name == "chosen"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    assert select(None).name == "other"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://never-used")
    assert select(None).name == "sandbox"


def test_the_sandbox_when_nothing_is_selected(factory: CommandLine) -> None:
    (factory.root / "Pulumi.sandbox.yaml").touch()
    assert select(None).name == "sandbox"


@pytest.mark.usefixtures("selected")
@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"stacks": null}'])
def test_notes_of_the_engine_that_cannot_be_read_select_nothing(tmp_path: Path, garbage: str) -> None:
    for file in (tmp_path / "pulumi/workspaces").iterdir():
        file.write_text(garbage)
    assert select(None).name == "sandbox"


def test_a_selected_stack_without_a_file_is_not_replaced_by_the_sandbox(
    factory: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (factory.root / "Pulumi.sandbox.yaml").touch()
    monkeypatch.setenv("PULUMI_STACK", "gone")
    with pytest.raises(InputError, match=r"'gone' has no file Pulumi\.gone\.yaml"):
        select(None)
