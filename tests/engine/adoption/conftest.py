"""A stack whose one application somebody made by hand, on the session's sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.endpoints import Endpoints
from tests.engine.adoption import by_hand
from tests.support.project import Project
from toolchain import locate

STACK = "adopting"


@pytest.fixture(scope="module")
def grown(sandbox: Endpoints, sandbox_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project, with a stack file that describes what exists; removed by the stack that took it over."""
    folder = tmp_path_factory.mktemp("adoption")
    kubectl = locate("kubectl")
    assert kubectl is not None
    by_hand.make_database(sandbox)
    by_hand.make_vault(sandbox)
    by_hand.make_objects(sandbox, folder / "kubeconfig", kubectl.path)
    project = Project.copy_to(folder / "checkout", sandbox_state)
    shutil.copy2(Path(__file__).with_name(f"Pulumi.{STACK}.yaml"), project.stack_file(STACK))
    project.pulumi(STACK, "stack", "init", "--no-select", "--stack", STACK)
    for key, value in (
        ("secrets.ledger.SESSION_KEY", "another-than-in-vault"),
        ("editor_passwords.ledger", by_hand.EDITOR_PASSWORD),
    ):
        project.pulumi(STACK, "config", "set", "--stack", STACK, "--secret", "--path", f"factory:{key}", value)
    yield project
    project.factory("destroy", "--stack", STACK, "--yes")
    by_hand.remove_mounts(sandbox)
