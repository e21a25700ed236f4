"""Checkouts whose stack is killed, interrupted, bereft of its backends, and in the end gone from the sandbox."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoints import Endpoints
from tests.engine.lifecycle.killing import survivors
from tests.support.project import Project

STACK = "sandbox"


@pytest.fixture
def bare_project(tmp_path: Path) -> Project:
    """A checkout with the committed stack files, for commands that must end before any backend is started."""
    return Project.copy_to(tmp_path / "checkout", tmp_path / "state")


@pytest.fixture
def project(tmp_path: Path, sandbox_state: Path, sandbox: Endpoints) -> Iterator[Project]:
    """A checkout on the running sandbox, whose stack has one application with a database."""
    assert sandbox.vault.address
    checkout = Project.copy_to(tmp_path / "checkout", sandbox_state)
    checkout.configure(STACK, with_applications(checkout.configuration(STACK), "webapp"))
    yield checkout
    for process in survivors(sandbox_state):
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
