"""States of earlier releases under today's program; README.md here says how to add one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.deterministic_ids import place_of
from sandbox.endpoints import Endpoints
from tests.support.project import Project
from tests.upgrade.record import STACK, STATES

pytestmark = pytest.mark.engine

RELEASES = sorted(STATES.iterdir())
# What the backends at hand drew or where they are, and what a refresh does not bring since they show it to nobody. An
# old state gets these from today's; in all else the two must agree.
DRAWN = {
    "factory-host:index:HostState": ["host"],
    "postgresql:index/role:Role": ["password"],
    "pulumi-python:dynamic/factory:GeneratedPassword": ["value", "verifier"],
    "vault:database/secretBackendConnection:SecretBackendConnection": [
        "postgresql.connectionUrl",
        "postgresql.password",
    ],
    "vault:kubernetes/authBackendConfig:AuthBackendConfig": ["tokenReviewerJwt"],
}


@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.name)
def test_an_old_state_is_previewed_brought_up_and_destroyed(
    release: Path, sandbox: Endpoints, sandbox_state: Path, tmp_path: Path
) -> None:
    assert sandbox.vault.address
    project = Project.copy_to(tmp_path / "checkout", sandbox_state)
    shutil.copy2(release / f"Pulumi.{STACK}.yaml", project.stack_file(STACK))
    project.factory("up")
    old = json.loads((release / "state.json").read_text("utf-8"))
    names = {resource["urn"] for resource in old["deployment"]["resources"]}
    with_drawn_values(old["deployment"]["resources"], project.resources(STACK, decrypted=True))
    (tmp_path / "state.json").write_text(json.dumps(old), "utf-8")
    project.pulumi(STACK, "stack", "import", "--stack", STACK, "--file", str(tmp_path / "state.json"))
    # As after a move of the backends: first the providers learn the new addresses.
    providers = [argument for urn in sorted(names) if "::pulumi:providers:" in urn for argument in ("--target", urn)]
    project.pulumi(STACK, "up", "--stack", STACK, "--yes", "--skip-preview", *providers)

    # What today's plugins do not find, and a renamed resource, token or module without an alias, shows as a create.
    assert planned(project) == []

    project.factory("up")
    project.factory("preview", "--expect-no-changes")
    project.factory("destroy", "--yes")
    assert not project.resources(STACK)


def planned(project: Project) -> list[tuple[str, str, list[str]]]:
    """Refresh, and return what today's program would do: the operation, the URN, and the paths of its properties."""
    shown = project.pulumi(STACK, "preview", "--stack", STACK, "--refresh", "--run-program", "--json").stdout
    steps: list[dict[str, Any]] = json.loads(shown[shown.index("{") :])["steps"]
    return [
        (step["op"], step["urn"], sorted(step.get("detailedDiff") or {}))
        for step in steps
        if step["op"] not in {"same", "read", "refresh"}
    ]


def with_drawn_values(old: list[dict[str, Any]], new: Mapping[str, dict[str, Any]]) -> None:
    """Put what the backends at hand drew in the place of what that release's drew: ids, passwords, the host's keys."""
    ids = {place(resource): resource["id"] for resource in new.values() if place(resource)}
    for resource in old:
        if where := place(resource):
            resource["id"] = resource["outputs"]["id"] = ids[where]
        for path in DRAWN.get(resource["type"], []):
            for part in ("inputs", "outputs"):
                *folders, key = path.split(".")
                target, source = resource[part], new[resource["urn"]][part]
                for folder in folders:
                    target, source = target[folder], source[folder]
                if key in source:
                    target[key] = source[key]


def place(resource: dict[str, Any]) -> str | None:
    """Return where the drawn id of a resource can be looked up, if it has one."""
    return place_of(resource["type"], resource.get("inputs") or {})
