"""Production: what is applied is the plan that was shown and agreed to, with official plugins only."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.engine.lifecycle.terminal import terminal
from tests.support.project import Project

pytestmark = pytest.mark.engine

STACK = "site"
ANOTHER_RESOURCE = 'pulumi.ComponentResource("factory:test:Late", "late", None, None)\n'


@pytest.fixture
def production(tmp_path: Path) -> Project:
    return Project.production(tmp_path)


def test_the_plan_is_shown_and_applied_when_the_stacks_name_is_typed(production: Project) -> None:
    with terminal(production, "up") as screen:
        screen.wait_for("Type the stack's name to go on: ")
        assert "pulumi:pulumi:Stack" in screen.screen
        assert "create" in screen.screen
        screen.type(STACK)
        assert screen.status() == 0, screen.screen
    assert len(production.resources(STACK)) == 1


def test_another_answer_changes_nothing(production: Project) -> None:
    with terminal(production, "up") as screen:
        screen.wait_for("Type the stack's name to go on: ")
        screen.type("yes")
        assert screen.status() == 1
    assert "nothing was changed" in screen.screen
    assert production.resources(STACK) == {}


def test_what_the_plan_did_not_show_is_refused(production: Project) -> None:
    with terminal(production, "up") as screen:
        screen.wait_for("Type the stack's name to go on: ")
        with (production.root / "__main__.py").open("a", encoding="utf-8") as program:
            program.write(ANOTHER_RESOURCE)
        screen.type(STACK)
        assert screen.status() == 1
    assert "late" in screen.screen
    assert "plan" in screen.screen
    assert not any(urn.endswith("::late") for urn in production.resources(STACK))


def test_with_nobody_to_ask_only_yes_applies_and_the_state_stays_with_the_official_plugins(production: Project) -> None:
    refused = production.factory("up", check=False)
    assert refused.returncode == 2
    assert "give --yes" in refused.stderr
    assert production.resources(STACK) == {}
    production.factory("up", "--yes")
    assert len(production.resources(STACK)) == 1
    exports = production.factory("env").stdout
    assert "PULUMI_HOME" not in exports
    assert not (production.state / "pulumi-home/plugins").exists()
    production.pulumi(STACK, "stack", "tag", "set", "factory:plugins", "local")
    refused = production.factory("up", "--yes", check=False)
    assert refused.returncode == 1
    assert "was made with the local provider plugins and cannot be used with the official ones" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_after_a_login_a_killed_run_is_healed(production: Project, tmp_path: Path) -> None:
    """The login alone says where the state is, in a folder whose name a URL has to escape."""
    states = tmp_path / "états of the site"
    lock = states / ".pulumi/locks/organization/factory" / STACK / "0c0ffee0.json"
    lock.parent.mkdir(parents=True)
    nobody = {"pid": 2**22 + 1, "hostname": socket.gethostname(), "timestamp": "2026-01-02T03:04:05+01:00"}
    lock.write_text(json.dumps(nobody), "utf-8")
    production.pulumi(STACK, "login", states.as_uri())
    del production.environment["PULUMI_BACKEND_URL"]
    brought_up = production.factory("up", "--yes")
    assert f"clearing the lock of a dead run (process {nobody['pid']})" in brought_up.stderr
    assert (states / f".pulumi/stacks/factory/{STACK}.json").is_file()
