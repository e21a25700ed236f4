"""One changed key of one application touches that application alone (section 8, item 5)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.engine.application.conftest import APP, OTHER, PLAIN, STACK, Site, last_update
from tests.support.identities import VaultIdentity
from tests.support.project import preview_steps

pytestmark = pytest.mark.engine

ROLE = "factory:app:AppStack$factory:app:AppSecrets$vault:database/secretBackendRole:SecretBackendRole"
DEPLOYMENT = "factory:app:AppStack$factory:app:AppWorkload$kubernetes:apps/v1:Deployment"
DELIVERY = "factory:app:AppStack$factory:app:AppDelivery$kubernetes:argoproj.io/v1alpha1:Application"
PREFIX = f"urn:pulumi:{STACK}::factory::"


def test_a_changed_key_touches_its_application_only(site: Site) -> None:
    """One key each of two applications: each has its own change, the third has none."""
    file = site.project.stack_file(STACK)
    before = file.read_bytes()
    try:
        site.change({OTHER: {"image": {"tag": "2.2.0"}}, PLAIN: {"argo": {"target_revision": "sandbox-next"}}})
        steps = preview_steps(site.project, STACK)
    finally:
        file.write_bytes(before)
    assert {step["urn"]: set(step["detailedDiff"] or ()) for step in steps} == {
        f"{PREFIX}{DEPLOYMENT}::{OTHER}": {"spec.template.spec.containers[0].image"},
        f"{PREFIX}{DELIVERY}::{PLAIN}": {"spec.source.targetRevision"},
    }
    assert {step["op"] for step in steps} == {"update"}


def test_the_change_arrives_and_the_neighbours_keep_theirs(
    site: Site, cluster: httpx.Client, root: VaultIdentity
) -> None:
    role = f"{PREFIX}{ROLE}::{APP}-database"
    uid = {app: deployment(cluster, app)["metadata"]["uid"] for app in (APP, OTHER)}
    generation = deployment(cluster, OTHER)["metadata"]["generation"]
    site.change({APP: {"database": {"default_ttl": 1800}}})
    site.project.factory("up")
    resources = site.project.resources(STACK)
    assert resources[role]["inputs"]["defaultTtl"] == 1800
    assert last_update(site.project)["resourceChanges"] == {"update": 1, "same": len(resources) - 1}
    assert {app: root.read(f"postgres/roles/{app}")["data"]["default_ttl"] for app in (APP, OTHER)} == {
        APP: 1800,
        OTHER: 3600,
    }
    assert {app: deployment(cluster, app)["metadata"]["uid"] for app in (APP, OTHER)} == uid
    assert deployment(cluster, OTHER)["metadata"]["generation"] == generation


def deployment(cluster: httpx.Client, app: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get(f"/apis/apps/v1/namespaces/{app}/deployments/{app}").raise_for_status().json()
    return found
