"""The stack comes up from nothing, and whoever looks again finds nothing left to do (section 8, item 1)."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from sandbox.endpoints import Endpoints
from tests.engine.application.conftest import APP, OTHER, PLAIN, STACK, Site, last_update
from tests.support.identities import VaultIdentity, superuser

pytestmark = pytest.mark.engine


# What the backends go on writing by themselves, and a login's memberships: it gets them after it was made.
UNSETTLED = frozenset({"__pulumi_raw_state_delta", "status", "resourceVersion", "managedFields", "roles"})


def facts(site: Site) -> dict[str, dict[str, Any]]:
    """What the state says each resource is; a value that is empty is like one that is not there."""
    resources = site.project.resources(STACK, decrypted=True)
    kept = ("id", "inputs", "outputs", "parent", "provider", "protect")
    return {urn: filled({key: resource.get(key) for key in kept}) for urn, resource in resources.items()}


def filled(value: Any) -> Any:
    if isinstance(value, dict):
        parts = {key: filled(part) for key, part in value.items() if key not in UNSETTLED}
        return {key: part for key, part in parts.items() if part not in (None, [], {})}
    return [filled(part) for part in value] if isinstance(value, list) else value


def test_one_up_creates_everything(site: Site) -> None:
    made = re.search(r"\+ (\d+) created", site.first_up)
    assert made
    resources = site.project.resources(STACK)
    assert int(made[1]) == len(resources)
    assert not [urn for urn, resource in resources.items() if resource.get("initErrors")]
    assert set(last_update(site.project)["resourceChanges"]) == {"create"}


def test_a_second_up_finds_nothing_to_do(site: Site) -> None:
    before = facts(site)
    site.project.factory("up")
    assert facts(site) == before
    assert last_update(site.project)["resourceChanges"] == {"same": len(before)}


def test_a_restarted_sandbox_changes_nothing(site: Site) -> None:
    site.project.factory("sandbox", "stop")
    site.project.factory("sandbox", "start")
    site.project.factory("preview", "--expect-no-changes")
    assert Endpoints.load(site.project.state) == site.endpoints


def test_a_workload_this_program_writes_runs(site: Site, cluster: httpx.Client) -> None:
    for app in (APP, OTHER):
        status = cluster.get(f"/apis/apps/v1/namespaces/{app}/deployments/{app}").raise_for_status().json()["status"]
        assert status["availableReplicas"] == status["replicas"] == 1
    assert site.project.resources(STACK)


def test_an_application_without_secrets_has_a_place_in_the_cluster_and_nothing_else(
    site: Site, cluster: httpx.Client, root: VaultIdentity
) -> None:
    """`url-shortener`: NAME-34, APPG-30; its chart is ArgoCD's to deploy (ARGO-12)."""
    inside = {
        "serviceaccounts": {PLAIN},
        "resourcequotas": {PLAIN},
        "limitranges": {PLAIN},
        "services": set(),
        "persistentvolumeclaims": set(),
        "secrets": set(),
        "pods": set(),
        "apis/networking.k8s.io/v1/networkpolicies": {"default-deny", "allow"},
        "apis/networking.k8s.io/v1/ingresses": set(),
        "apis/apps/v1/deployments": set(),
        "apis/argoproj.io/v1alpha1/applications": set(),
        "apis/secrets.hashicorp.com/v1beta1/vaultauths": set(),
        "apis/secrets.hashicorp.com/v1beta1/vaultconnections": set(),
        "apis/secrets.hashicorp.com/v1beta1/vaultstaticsecrets": set(),
        "apis/secrets.hashicorp.com/v1beta1/vaultdynamicsecrets": set(),
    }
    found = {}
    for kind in inside:
        group, _, plural = kind.rpartition("/")
        items = cluster.get(f"/{group or 'api/v1'}/namespaces/{PLAIN}/{plural}").raise_for_status().json()["items"]
        found[kind] = {item["metadata"]["name"] for item in items} - {"default"}
    assert found == inside
    argocd = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
    application = cluster.get(f"{argocd}/applications/{PLAIN}").raise_for_status().json()["spec"]
    assert application["project"] == PLAIN
    assert application["destination"]["namespace"] == PLAIN
    assert application["source"]["targetRevision"] == "sandbox"
    assert cluster.get(f"{argocd}/appprojects/{PLAIN}").status_code == httpx.codes.OK
    for path in (
        f"sys/policies/acl/{PLAIN}",
        f"sys/policies/acl/{PLAIN}-ops",
        f"kvv2/metadata/{PLAIN}/config",
        f"auth/kubernetes/role/{PLAIN}",
        f"auth/gitea_jwt/role/gitea_cicd_{PLAIN}",
        f"postgres/roles/{PLAIN}",
        f"identity/group/name/{PLAIN}-ops",
    ):
        assert root.request("GET", path).status_code == httpx.codes.NOT_FOUND, path
        assert root.request("GET", path.replace(PLAIN, APP)).status_code == httpx.codes.OK, path
    with superuser(site.endpoints) as connection:
        named = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE %(like)s "
            "UNION SELECT datname FROM pg_database WHERE datname LIKE %(like)s",
            {"like": "url%"},
        )
        assert named.fetchall() == []
