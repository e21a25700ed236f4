"""`./factory sandbox reset`: never under a run, of the sandbox's data alone, and a failure is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.exclusive import alone
from tests.unit.cli.conftest import CommandLine


@pytest.fixture
def used(factory: CommandLine) -> CommandLine:
    """A state directory with an embedded stack and one whose state is elsewhere; both have run."""
    for stack in ("sandbox", "lab"):
        with alone(stack):
            pass
        copies = factory.state / "state-copies" / stack
        copies.mkdir(parents=True)
        (copies / "20260101T000000Z.json").write_text("{}")
    states = factory.state / "backend/.pulumi/stacks/factory"
    states.mkdir(parents=True)
    (states / "sandbox.json").write_text("{}")
    (factory.state / "runs/sandbox/mark.json").write_text("{}")
    (factory.state / "pulumi-home/bin").mkdir(parents=True)
    (factory.state / "vault").mkdir()
    return factory


def test_the_sandbox_s_data_goes_and_production_s_copies_stay(used: CommandLine) -> None:
    done = used("sandbox", "reset", "--yes")
    assert done.status == 0, done.err
    assert {file.name for file in used.state.iterdir() if file.is_dir()} == {"runs", "state-copies"}
    assert [file.name for file in (used.state / "state-copies").iterdir()] == ["lab"]
    assert (used.state / "runs/sandbox/mark.json").exists(), "the next run ends what that one left"
    assert used("sandbox", "reset", "--yes").status == 0


@pytest.mark.parametrize("stack", ["sandbox", "lab"])
def test_a_live_run_keeps_what_it_uses(used: CommandLine, stack: str) -> None:
    before = used.files()
    with alone(stack):
        lock = used.state / "runs" / stack / "lock"
        refused = used("sandbox", "reset", "--yes")
        assert (refused.status, f"stack {stack!r} is locked by a live run" in refused.err) == (1, True)
        assert lock.exists()
    assert used.files().keys() == before.keys()


def test_what_cannot_be_deleted_is_told(used: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = shutil.rmtree

    def refused(path: Path, *arguments: Any, **options: Any) -> None:
        if Path(path).name == "backend":
            raise PermissionError(13, "Permission denied", str(path))
        delete(path, *arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", refused)
    done = used("sandbox", "reset", "--yes")
    assert done.status == 1
    assert f"{used.state}/backend: Permission denied; make it accessible" in done.err
