"""A full disk: the file is named and what to do, no state is lost, and once there is room the next run goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project

pytestmark = [pytest.mark.engine, pytest.mark.skipif(os.geteuid() != 0, reason="root: file systems are mounted")]

STACK = "small"
KIB = 1024
LARGE = "factory:test:Large"
LARGE_RESOURCE = f'pulumi.ComponentResource("{LARGE}", "large").register_outputs({{"text": "x" * {300 * KIB}}})\n'
ADVICE = "No space left on device; free some space"


@pytest.fixture
def project(tmp_path: Path, bare_project: Project) -> Project:
    """A sandbox stack that builds nothing, which is up; its state is in the folder `sandbox-states`."""
    (tmp_path / "sandbox-states").mkdir()
    config = {
        "pulumi:disable-default-providers": ["*"],
        "factory:environment": "sandbox",
        "factory:sandbox": {
            "mode": "vms",
            "state_url": (tmp_path / "sandbox-states").as_uri(),
            "target_revision": "sandbox",
        },
    }
    bare_project.configure(STACK, {"config": config})
    bare_project.environment = {"PULUMI_CONFIG_PASSPHRASE": "a passphrase", "PULUMI_STACK": STACK}
    return bare_project


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Make the folder a file system of its own."""
    folder.mkdir(exist_ok=True, parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def full(folder: Path, *, left: int = 0) -> Iterator[None]:
    """Fill the disk of a folder up to some bytes, for a while."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(file.tell() - left)
    yield
    filler.unlink()


def test_no_room_for_the_copy_of_the_state(project: Project) -> None:
    copies = project.state / "state-copies"
    with small_disk(copies):
        project.factory("up")
        before = project.state_file(STACK).read_bytes()
        with full(copies):
            failed = project.factory("up", check=False)
        assert failed.returncode == 1
        assert f"factory: {copies / STACK}" in failed.stderr
        assert ADVICE in failed.stderr
        assert project.state_file(STACK).read_bytes() == before
        project.factory("up")
        kept = [json.loads(copy.read_text("utf-8")) for copy in (copies / STACK).iterdir()]
        assert all(copy["version"] for copy in kept)


def test_no_room_for_the_engines_lock(project: Project, tmp_path: Path) -> None:
    states = tmp_path / "sandbox-states"
    with small_disk(states):
        before = fails_without_room(project, states, left=0)
        assert project.resources(STACK) == before
        goes_on(project, before)


@pytest.mark.long  # the engine tries again for a minute
def test_no_room_for_the_next_state(project: Project, tmp_path: Path) -> None:
    """The engine then leaves half a state."""
    states = tmp_path / "sandbox-states"
    with small_disk(states):
        before = fails_without_room(project, states, left=64 * KIB)
        with pytest.raises(ValueError, match="Unterminated string"):
            project.resources(STACK)
        refused = project.factory("preview", check=False).stderr
        assert f"{project.state_file(STACK)}: no JSON" in refused
        assert "the next `up` or `destroy` goes on from the one before it" in refused
        goes_on(project, before)


def fails_without_room(project: Project, states: Path, *, left: int) -> dict[str, dict[str, Any]]:
    """Bring the stack up, then with a resource more and so many bytes left; return what it had before."""
    project.factory("up")
    before = project.resources(STACK)
    with (project.root / "__main__.py").open("a", encoding="utf-8") as program:
        program.write(LARGE_RESOURCE)
    with full(states, left=left):
        failed = project.factory("up", check=False)
    said = failed.stdout + failed.stderr
    assert failed.returncode == 1, said
    assert re.search(rf"write {states}/\S+: no space left on device", said), said
    assert f"factory: there is no room left for the state at {states}: free some space" in said
    assert "Traceback" not in said
    return before


def goes_on(project: Project, before: dict[str, dict[str, Any]]) -> None:
    """With room again the next run makes what is missing."""
    project.factory("up")
    project.factory("preview", "--expect-no-changes")
    assert project.resources(STACK).keys() - before.keys() == {f"urn:pulumi:{STACK}::factory::{LARGE}::large"}
