"""One changed key of one application touches that application alone (section 8, item 5)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.engine.application.conftest import APP, OTHER, PLAIN, STACK, Site
from tests.support.identities import VaultIdentity
from tests.support.project import preview_steps

pytestmark = pytest.mark.engine

ROLE = "factory:app:AppStack$factory:app:AppSecrets$vault:database/secretBackendRole:SecretBackendRole"
DEPLOYMENT = "factory:app:AppStack$factory:app:AppWorkload$kubernetes:apps/v1:Deployment"
DELIVERY = "factory:app:AppStack$factory:app:AppDelivery$kubernetes:argoproj.io/v1alpha1:Application"
PREFIX = f"urn:pulumi:{STACK}::factory::"


@pytest.mark.parametrize(
    ("app", "changed", "expected"),
    [
        (APP, {"database": {"default_ttl": 1800}}, {f"{PREFIX}{ROLE}::{APP}-database": {"defaultTtl"}}),
        (
            OTHER,
            {"image": {"tag": "2.2.0"}},
            {f"{PREFIX}{DEPLOYMENT}::{OTHER}": {"spec.template.spec.containers[0].image"}},
        ),
        (
            PLAIN,
            {"argo": {"target_revision": "sandbox-next"}},
            {f"{PREFIX}{DELIVERY}::{PLAIN}": {"spec.source.targetRevision"}},
        ),
    ],
    ids=[APP, OTHER, PLAIN],
)
def test_a_changed_key_touches_its_application_only(
    site: Site, app: str, changed: dict[str, Any], expected: dict[str, set[str]]
) -> None:
    file = site.project.stack_file(STACK)
    before = file.read_bytes()
    try:
        site.change(**{app.replace("-", "_"): changed})
        steps = preview_steps(site.project, STACK)
    finally:
        file.write_bytes(before)
    assert {step["urn"]: set(step["detailedDiff"] or ()) for step in steps} == expected
    assert {step["op"] for step in steps} == {"update"}


def test_the_change_arrives_and_the_neighbours_keep_theirs(
    site: Site, cluster: httpx.Client, root: VaultIdentity
) -> None:
    uid = {app: deployment(cluster, app)["metadata"]["uid"] for app in (APP, OTHER)}
    generation = deployment(cluster, OTHER)["metadata"]["generation"]
    site.change(webapp={"database": {"default_ttl": 1800}, "image": {"tag": "1.0.1"}})
    site.project.factory("up")
    assert {app: root.read(f"postgres/roles/{app}")["data"]["default_ttl"] for app in (APP, OTHER)} == {
        APP: 1800,
        OTHER: 3600,
    }
    changed = deployment(cluster, APP)
    assert changed["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f"/{APP}:1.0.1")
    assert {app: deployment(cluster, app)["metadata"]["uid"] for app in (APP, OTHER)} == uid
    assert deployment(cluster, OTHER)["metadata"]["generation"] == generation


def deployment(cluster: httpx.Client, app: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get(f"/apis/apps/v1/namespaces/{app}/deployments/{app}").raise_for_status().json()
    return found
