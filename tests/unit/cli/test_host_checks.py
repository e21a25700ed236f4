"""`./factory doctor hosts` where the sandbox stands for a machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.host import transport_ssh
from sandbox.endpoints import Endpoints
from stacks.settings.endpoints import PLACEHOLDER
from tests.unit.cli.conftest import CommandLine

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
PRODUCTION = {"factory:environment": "prod", "factory:fingerprints": {"hosts": ["site.example.test"]}}
AWAY = {"address": "127.0.0.1", "port": 9, "host_key": KEY, "ssh_config": None}


def holding(file: str) -> dict[str, Any]:
    return {"roles": {"web": {"files": {file: {"content": "a"}}}}}


def write(factory: CommandLine, hosts: dict[str, Any]) -> None:
    config = {
        "pulumi:disable-default-providers": ["*"],
        "factory:environment": "sandbox",
        "factory:backends": "embedded",
        "factory:sandbox": {"target_revision": "sandbox"},
        "factory:hosts": hosts,
    }
    (factory.root / "Pulumi.home.yaml").write_text(json.dumps({"config": config}))
    (factory.root / "Pulumi.site.yaml").write_text(json.dumps({"config": PRODUCTION}))
    factory.state.mkdir()
    Endpoints.path(factory.state).write_text(PLACEHOLDER.model_dump_json())


def test_a_machine_of_a_stopped_sandbox_is_no_riddle(factory: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to run is said, in the order of the file, and nobody is asked in vain."""
    write(factory, {"first": holding("/a"), "away": holding("/a") | {"connection": AWAY}, "last": holding("/b")})
    done = factory("doctor", "hosts", "--stack", "home", "--json")
    assert done.out, done.err
    found = [(each["host"], each["error"].partition(":")[0]) for each in json.loads(done.out)]
    stopped = "the sandbox, which stands for it, is stopped"
    assert (done.status, found) == (1, [("first", stopped), ("away", "cannot reach 127.0.0.1"), ("last", stopped)])
    monkeypatch.delattr(transport_ssh, "_dial")
    shown = factory("doctor", "hosts", "last", "--stack", "home").out
    assert shown == f"last: FAILED {stopped}: run `./factory sandbox start`\n"
