"""States of earlier releases under today's program; README.md here says how to add one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from cli.deterministic_ids import place_of
from sandbox.endpoints import Endpoints
from tests.support.project import Project
from tests.upgrade.record import STACK, STATES

pytestmark = pytest.mark.engine

RELEASES = sorted(STATES.iterdir())
HOST_STATE = "factory-host:index:HostState"
PASSWORD = "pulumi-python:dynamic/factory:GeneratedPassword"
# What an old state cannot know of backends that are not its own: their addresses, and what was drawn for them.
OF_THE_SITE = (
    "pulumi:pulumi:Stack",
    "postgresql:index/role:Role",
    "postgresql:index/function:Function",
    "vault:database/secretBackendConnection:SecretBackendConnection",
    "vault:kubernetes/authBackendConfig:AuthBackendConfig",
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:core/v1:Secret",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "kubernetes:secrets.hashicorp.com/v1beta1:VaultConnection",
    "kubernetes:secrets.hashicorp.com/v1beta1:VaultDynamicSecret",
)


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
    with_drawn_values(old["deployment"]["resources"], project.resources(STACK, decrypted=True).values())
    (tmp_path / "state.json").write_text(json.dumps(old), "utf-8")
    project.pulumi(STACK, "stack", "import", "--stack", STACK, "--file", str(tmp_path / "state.json"))
    # As after a move of the backends: first the providers learn the new addresses.
    providers = [argument for urn in sorted(names) if "::pulumi:providers:" in urn for argument in ("--target", urn)]
    project.pulumi(STACK, "up", "--stack", STACK, "--yes", "--skip-preview", *providers)

    steps = planned(project)
    # What today's plugins do not find, and a renamed resource, token or module without an alias, shows as a create.
    assert {step["op"] for step in steps} <= {"update"}, [(step["op"], step["urn"]) for step in steps]
    assert {kind(step["urn"]) for step in steps} <= set(OF_THE_SITE), [step["urn"] for step in steps]

    project.factory("up")
    project.factory("preview", "--expect-no-changes")
    project.factory("destroy", "--yes")
    assert not project.resources(STACK)


def planned(project: Project) -> list[dict[str, Any]]:
    """Refresh, and return what today's program would do."""
    shown = project.pulumi(STACK, "preview", "--stack", STACK, "--refresh", "--run-program", "--json").stdout
    steps: list[dict[str, Any]] = json.loads(shown[shown.index("{") :])["steps"]
    return [step for step in steps if step["op"] not in {"same", "read", "refresh"}]


def with_drawn_values(old: list[dict[str, Any]], new: Collection[dict[str, Any]]) -> None:
    """Put what the backends at hand drew in the place of what that release's drew: ids, passwords, the host's keys."""
    ids = {place(resource): resource["id"] for resource in new if place(resource)}
    passwords = {name(resource): resource["outputs"] for resource in new if resource["type"] == PASSWORD}
    hosts = {name(resource): resource["inputs"]["host"] for resource in new if resource["type"] == HOST_STATE}
    for resource in old:
        if resource["type"] == HOST_STATE:
            resource["inputs"]["host"] = hosts[name(resource)]
        if where := place(resource):
            resource["id"] = resource["outputs"]["id"] = ids[where]
        if resource["type"] == PASSWORD:
            resource["outputs"] |= {key: passwords[name(resource)][key] for key in ("value", "verifier")}


def place(resource: dict[str, Any]) -> str | None:
    """Return where the drawn id of a resource can be looked up, if it has one."""
    return place_of(resource["type"], resource.get("inputs") or {})


def name(resource: dict[str, Any]) -> str:
    """Return a resource's name."""
    return str(resource["urn"].rpartition("::")[2])


def kind(urn: str) -> str:
    """Return the type of a URN's resource."""
    return urn.split("::")[2].rpartition("$")[2]
