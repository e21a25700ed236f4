"""`pulumi install && pulumi preview`, as somebody types it who knows Pulumi: the launcher's `.venv` serves them too."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.project import Project
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

SATISFIED = "Requirement already satisfied: "


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A checkout whose `pip` can fetch nothing: all that is needed must be there."""
    project = Project.production(tmp_path)
    project.environment |= {"PIP_FIND_LINKS": "", "PIP_NO_INDEX": "1"}
    return project


def test_the_official_commands_use_the_launchers_environment(project: Project) -> None:
    before = installed()
    script = 'eval "$(./factory env)" && pulumi install && pulumi stack init site && pulumi preview'
    done = subprocess.run(
        ["sh", "-c", script], cwd=project.root, env=project.variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    found = {line.removeprefix(SATISFIED) for line in lines if line.startswith(SATISFIED)}
    pins = {line for line in (project.root / "requirements.txt").read_text("utf-8").splitlines() if "==" in line}
    assert {pin.partition(";")[0].strip() for pin in pins} <= {one.partition(" in ./.venv/")[0] for one in found}
    assert any("pulumi:pulumi:Stack" in line for line in lines)
    assert installed() == before


def installed() -> dict[Path, float]:
    """What is in the environment, and when it was put there."""
    return {entry: entry.stat().st_mtime for entry in ROOT.glob(".venv/lib/python*/site-packages/*")}
