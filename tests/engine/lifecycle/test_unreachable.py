"""Backends that cannot be reached, ports that are taken: said within seconds, by name."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.ports import PORT_NAMES, choose
from tests.support.project import Project

pytestmark = pytest.mark.engine

STACK = "away"
_SECONDS = 200
"""On a busy machine; waiting for an answer that never comes would take longer."""


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of the loopback address on which somebody listens, and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield int(listener.getsockname()[1])


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def away(tmp_path: Path, bare_project: Project, closed_port: int) -> Project:
    """A sandbox with a database server of its own, which is not there, and a state folder of its own."""
    states = tmp_path / "sandbox" / "states"
    states.mkdir(parents=True)
    config = {
        "pulumi:disable-default-providers": ["*"],
        "factory:environment": "sandbox",
        "factory:sandbox": {"mode": "vms", "state_url": states.as_uri(), "target_revision": "sandbox"},
        "factory:postgres": {"host": "127.0.0.1", "port": closed_port, "username": "provisioner", "sslmode": "disable"},
        "factory:postgres_foundation": {"create_pooler_role": True},
    }
    bare_project.configure(STACK, {"config": config})
    bare_project.environment = {"PULUMI_CONFIG_PASSPHRASE": "a passphrase", "PULUMI_HOME": str(tmp_path / "pulumi")}
    bare_project.pulumi(STACK, "stack", "init", STACK)
    bare_project.pulumi(
        STACK, "config", "set", "--stack", STACK, "--secret", "--path", "credentials.postgres_password", typed="secret"
    )
    return bare_project


def test_an_unreachable_server_is_named_within_seconds(away: Project, closed_port: int) -> None:
    began = time.monotonic()
    failed = away.factory("up", "--stack", STACK, check=False)
    said = failed.stdout + failed.stderr
    assert failed.returncode == 1, said
    assert f"127.0.0.1:{closed_port}" in said or (f"port {closed_port}" in said and "127.0.0.1" in said), said
    assert "Traceback" not in said
    assert time.monotonic() - began < _SECONDS
    assert not any("postgresql:index" in urn for urn in away.resources(STACK))


def test_a_taken_port_is_named_and_nothing_stays_behind(bare_project: Project, taken_port: int) -> None:
    ports = choose({"postgres": taken_port})
    assert set(ports) == set(PORT_NAMES)
    bare_project.state.mkdir()
    (bare_project.state / "ports.json").write_text(json.dumps(ports))
    began = time.monotonic()
    failed = bare_project.factory("up", check=False)
    assert failed.returncode == 1, failed.stderr
    assert str(taken_port) in failed.stderr
    assert "Traceback" not in failed.stderr
    assert time.monotonic() - began < _SECONDS
    status = json.loads(bare_project.factory("sandbox", "status", "--json").stdout)
    assert status["state"] == "stopped"
