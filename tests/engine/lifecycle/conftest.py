"""A checkout of its own on a sandbox of its own: these tests kill runs, stop backends and take whole stacks away."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import Endpoints, Sandbox
from tests.engine.lifecycle.killing import survivors
from tests.support.project import Project

STACK = "sandbox"


@pytest.fixture(scope="session")
def lifecycle_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of this folder's sandbox."""
    return tmp_path_factory.mktemp("lifecycle-state")


@pytest.fixture(scope="session")
def lifecycle_sandbox(lifecycle_state: Path) -> Iterator[Endpoints]:
    """A sandbox that no other folder's tests use, started."""
    box = Sandbox(lifecycle_state)
    try:
        yield box.start(print)
    finally:
        box.stop(print)


@pytest.fixture
def bare_project(tmp_path: Path) -> Project:
    """A checkout with the committed stack files, for commands that must end before any backend is started."""
    return Project.copy_to(tmp_path / "checkout", tmp_path / "state")


@pytest.fixture
def project(tmp_path: Path, lifecycle_state: Path, lifecycle_sandbox: Endpoints) -> Iterator[Project]:
    """A checkout on the running sandbox, whose stack has one application with a database."""
    assert lifecycle_sandbox.vault.address
    checkout = Project.copy_to(tmp_path / "checkout", lifecycle_state)
    checkout.configure(STACK, with_applications(checkout.configuration(STACK), "webapp"))
    yield checkout
    for process in survivors(lifecycle_state):
        process.signal(signal.SIGKILL)


def with_applications(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the sandbox's configuration with these applications, each like `webapp` on hosts of its own."""
    config = dict(document["config"])
    template, secrets = config["factory:apps"]["webapp"], config["factory:secrets"]["webapp"]
    config["factory:apps"] = {
        name: template | {"exposure": ["internal"], "ci": {"oauth_client_id": f"sandbox-{name}"}} for name in names
    }
    config["factory:secrets"] = dict.fromkeys(names, secrets)
    # A YAML writer would turn what is shared into aliases.
    whole: dict[str, Any] = json.loads(json.dumps(document | {"config": config}))
    return whole
