"""A killed run is healed by the next one: nothing is lost, nothing is there twice, nothing goes on running."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sandbox.endpoints import Endpoints
from tests.engine.lifecycle.conftest import STACK, with_applications
from tests.engine.lifecycle.inventory import inventory
from tests.engine.lifecycle.killing import kill_at_random_points, survivors
from tests.support.identities import connect, operator, short_lived_login
from tests.support.project import Project

pytestmark = pytest.mark.engine


def test_killed_runs_are_healed_by_the_next(
    project: Project, sandbox: Endpoints, dice: random.Random, long_run: bool, tmp_path: Path
) -> None:
    """20 killed runs, 200 in a long one: from nothing to a stack, an application more with a changed one beside it, an
    application less, everything gone. Each of these four ends with a run that is left alone: after five kills, of which
    each meets what those before it left, or in a long run after every kill.
    """
    rounds, kills = (50, 1) if long_run else (1, 5)
    one = project.configuration(STACK)
    two = with_applications(one, "webapp", "second")
    two["config"]["factory:apps"]["webapp"]["image"]["tag"] = "1.0.1"
    before = inventory(sandbox)
    for round_ in range(rounds):
        chains = [("create", one, 70), ("add and change", two, 30), ("remove", one, 20)]
        kept: list[dict[str, list[str]]] = []
        for chain, configuration, operations in chains:
            project.configure(STACK, configuration)
            log = tmp_path / f"{round_}-{chain}.log"
            story = kill_at_random_points(project, dice, log, "up", "--yes", kills=kills, operations=operations)
            project.factory("up")
            _assert_whole(project, sandbox, configuration, story)
            kept.append(inventory(sandbox))
        assert kept[0] == kept[2], "an application came and went, and left something behind"
        log = tmp_path / f"{round_}-destroy.log"
        story = kill_at_random_points(project, dice, log, "destroy", "--yes", kills=kills, operations=70)
        project.factory("destroy", "--yes")
        assert project.resources(STACK) == {}, story
        assert survivors(project.state) == {}, story
        assert inventory(sandbox) == before, story
    project.remove(STACK)


def _assert_whole(project: Project, endpoints: Endpoints, configuration: dict[str, Any], story: list[str]) -> None:
    assert survivors(project.state) == {}, story
    assert [file.name for file in (project.state / "runs" / STACK).iterdir()] == ["lock"], story
    state = project.state_of(STACK)
    assert not state.get("pending_operations"), story
    urns = Counter(resource["urn"] for resource in state["resources"])
    assert [urn for urn, times in urns.items() if times > 1] == [], story
    project.factory("preview", "--expect-no-changes")
    for app, keys in configuration["config"]["factory:secrets"].items():
        root = operator(endpoints)
        with closing(root.http):
            stored = root.read(f"kvv2/data/{app}/config")["data"]["data"]
            # Vault makes this login as the editor, with the editor's password.
            login = short_lived_login(root, app)
            with connect(endpoints, app, login) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,), story
            # A login that is still lent keeps its application's roles from being removed.
            given_back = root.request("PUT", "sys/leases/revoke", {"lease_id": login.lease_id, "sync": True})
            given_back.raise_for_status()
        assert stored.keys() == keys.keys(), story
        assert all(stored.values()), story
