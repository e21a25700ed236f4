"""Backends that cannot be reached, ports that are taken: said within seconds, by name."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from sandbox.ports import PORT_NAMES, choose
from tests.support.dead_ends import refusing, silent, taking
from tests.support.project import Project

pytestmark = pytest.mark.engine

STACK = "away"
_SECONDS = 60
"""On a busy machine; waiting for an answer that never comes would take longer."""


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of the loopback address on which somebody listens, and never answers."""
    with taking() as port:
        yield port


@dataclass(frozen=True)
class Away:
    """A sandbox with servers of its own, which are not there, and a state folder of its own."""

    project: Project
    ports: dict[str, int]
    seen: str
    """What is to be seen on each of the ports."""
    commands: Sequence[tuple[str, ...]]


_COMMANDS = (("up",), ("preview",), ("destroy", "--yes"), ("up", "--only", "postgres_foundation"))
_REFUSED = (refusing, "connection refused", _COMMANDS)
_SILENT = (silent, "no answer within 5 s", _COMMANDS[:1])


@pytest.fixture(params=[_REFUSED, _SILENT], ids=["refused", "silent"])
def away(tmp_path: Path, bare_project: Project, request: pytest.FixtureRequest) -> Iterator[Away]:
    """One whose servers refuse connections, and one whose servers answer no packet."""
    dead_end, seen, commands = request.param
    states = tmp_path / "sandbox" / "states"
    states.mkdir(parents=True)
    with ExitStack() as opened:
        ports = {name: opened.enter_context(dead_end()) for name in ("kubernetes", "vault", "postgres")}
        (tmp_path / "kubeconfig").write_text(
            yaml.safe_dump(
                {
                    "contexts": [{"name": "away", "context": {"cluster": "one", "user": "admin"}}],
                    "clusters": [{"name": "one", "cluster": {"server": f"https://127.0.0.1:{ports['kubernetes']}"}}],
                    "users": [{"name": "admin", "user": {"token": "word"}}],
                }
            )
        )
        host = f"https://127.0.0.1:{ports['kubernetes']}"
        config = {
            "pulumi:disable-default-providers": ["*"],
            "factory:environment": "sandbox",
            "factory:sandbox": {"mode": "vms", "state_url": states.as_uri(), "target_revision": "sandbox"},
            "factory:kubernetes": {"kubeconfig": str(tmp_path / "kubeconfig"), "context": "away"},
            "factory:vault": {"address": f"https://127.0.0.1:{ports['vault']}"},
            "factory:postgres": {
                "host": "127.0.0.1",
                "port": ports["postgres"],
                "username": "provisioner",
                "sslmode": "disable",
            },
            "factory:postgres_foundation": {"create_pooler_role": True},
            "factory:vault_foundation": {"kubernetes": {"host": host, "reviewer_namespace": "tools"}},
        }
        bare_project.configure(STACK, {"config": config})
        bare_project.environment = {"PULUMI_CONFIG_PASSPHRASE": "a passphrase", "PULUMI_HOME": str(tmp_path / "pulumi")}
        bare_project.pulumi(STACK, "stack", "init", STACK)
        for credential in ("credentials.postgres_password", "credentials.vault_token"):
            words = ("config", "set", "--stack", STACK, "--secret", "--path", credential)
            bare_project.pulumi(STACK, *words, typed="secret")
        yield Away(bare_project, ports, seen, commands)


def test_servers_that_are_not_there_are_all_named_within_seconds(away: Away) -> None:
    """Each of them with key, address and what was seen; nothing is begun, not even a copy of the state."""
    state = away.project.state_file(STACK).read_bytes()
    keys = {"kubernetes": "kubernetes.context", "vault": "vault.address", "postgres": "postgres.host"}
    for command in away.commands:
        began = time.monotonic()
        failed = away.project.factory(*command, "--stack", STACK, check=False)
        told = failed.stdout + failed.stderr
        assert failed.returncode == 1, told
        assert "nothing was changed" in told
        assert "Traceback" not in told
        for name, key in keys.items():
            named = f"Pulumi.{STACK}.yaml: factory:{key} = 127.0.0.1:{away.ports[name]}: {away.seen}." in told
            assert named is ("--only" not in command or name == "postgres"), told
        assert time.monotonic() - began < _SECONDS
    assert away.project.state_file(STACK).read_bytes() == state
    assert not (away.project.state / "state-copies").exists()


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
