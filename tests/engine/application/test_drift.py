"""What was changed behind the program's back shows in a preview and is repaired by `up` (section 8, item 4)."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest

from sandbox.endpoints import Endpoints
from tests.engine.application.conftest import APP, OTHER, PLAIN, STACK, Site
from tests.support.identities import VaultIdentity, connect, short_lived_login, superuser, workload
from tests.support.project import preview_steps
from tests.support.waiting import until

pytestmark = pytest.mark.engine

DEPLOYMENT = f"/apis/apps/v1/namespaces/{APP}/deployments/{APP}"
DENIAL = f"/apis/networking.k8s.io/v1/namespaces/{APP}/networkpolicies/default-deny"
APPLICATION = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{PLAIN}"
EDITED = {"Content-Type": "application/merge-patch+json"}


def test_drift_shows_and_is_repaired(site: Site, cluster: httpx.Client, root: VaultIdentity) -> None:
    before = observed(site.endpoints, cluster, root)
    pod = maimed_editor(site)
    disturb(site.endpoints, cluster, root)
    assert not set(before.items()) & set(observed(site.endpoints, cluster, root).items())
    steps = {(step["urn"].rpartition("$")[2], step["op"]): paths(step) for step in preview_steps(site.project, STACK)}
    assert steps == {
        (f"postgresql:index/role:Role::{APP}-editor", "update"): {"createRole"},
        (f"postgresql:index/grant:Grant::{APP}-connect-revoke", "update"): {"privileges[0]"},
        (f"postgresql:index/grant:Grant::{APP}-schema-pooler", "update"): {"privileges[0]", "privileges[1]"},
        ("vault:index/mount:Mount::vault-transit", "create"): set(),
        # The provider takes a policy that is gone for an empty one.
        (f"vault:index/policy:Policy::{APP}-runtime", "update"): {"policy"},
        (f"vault:index/policy:Policy::{OTHER}-ops", "update"): {"policy"},
        (f"kubernetes:apps/v1:Deployment::{APP}", "update"): {"spec.template.spec.containers[0].image"},
        (f"kubernetes:argoproj.io/v1alpha1:Application::{PLAIN}", "update"): {"spec.source.targetRevision"},
        (f"kubernetes:networking.k8s.io/v1:NetworkPolicy::{APP}-default-deny", "create"): set(),
    }
    site.project.factory("up")
    assert observed(site.endpoints, cluster, root) == before
    login = short_lived_login(pod, APP)
    with connect(site.endpoints, APP, login) as session:
        assert session.execute("SELECT current_user").fetchone() == (f"{APP}_role",)
    with pytest.raises(psycopg.OperationalError):
        connect(site.endpoints, OTHER, login)
    site.project.factory("preview", "--expect-no-changes")


def maimed_editor(site: Site) -> VaultIdentity:
    """Take the editor's power to make logins; return the pod that got an error instead of one.

    The failed `CREATE ROLE` carries no password into the server's log.
    """
    pod = workload(site.endpoints, APP)
    with superuser(site.endpoints) as connection:
        connection.execute(f"ALTER ROLE {APP}_edit NOCREATEROLE")
    assert pod.request("GET", f"postgres/creds/{APP}").is_server_error
    log = site.project.state / "logs" / "postgres.log"
    # The supervisor writes the log, which is not at once.
    statements = until(lambda: [line for line in log.read_text("utf-8").splitlines() if 'CREATE ROLE "v-' in line])
    assert all("PASSWORD 'SCRAM-SHA-256$" in line for line in statements)
    return pod


def disturb(endpoints: Endpoints, cluster: httpx.Client, root: VaultIdentity) -> None:
    """Change and delete things in each backend, as people do."""
    with superuser(endpoints, APP) as connection:
        connection.execute(f"GRANT CONNECT ON DATABASE {APP} TO public")
        connection.execute("GRANT CREATE ON SCHEMA public TO pgbouncer_auth")
    open_policy = {"policy": 'path "kvv2/*" { capabilities = ["read"] }'}
    for method, path, body in (
        ("DELETE", f"sys/policies/acl/{APP}", None),
        ("PUT", f"sys/policies/acl/{OTHER}-ops", open_policy),
        ("DELETE", "sys/mounts/transit", None),
    ):
        root.request(method, path, body).raise_for_status()
    image = {
        "op": "replace",
        "path": "/spec/template/spec/containers/0/image",
        "value": "registry.example.test/other:1",
    }
    as_patch = {"Content-Type": "application/json-patch+json"}
    cluster.request("PATCH", DEPLOYMENT, json=[image], headers=as_patch).raise_for_status()
    branch = {"spec": {"source": {"targetRevision": "somewhere-else"}}}
    cluster.request("PATCH", APPLICATION, json=branch, headers=EDITED).raise_for_status()
    cluster.delete(DENIAL).raise_for_status()


def observed(endpoints: Endpoints, cluster: httpx.Client, root: VaultIdentity) -> dict[str, Any]:
    """Ask each backend itself about everything that is disturbed."""
    with superuser(endpoints, APP) as connection:
        grants = connection.execute(
            "SELECT has_database_privilege('public', current_database(), 'CONNECT'), "
            "has_schema_privilege('pgbouncer_auth', 'public', 'CREATE')"
        ).fetchone()
    assert grants
    deployment, application = (
        cluster.get(path).raise_for_status().json()["spec"] for path in (DEPLOYMENT, APPLICATION)
    )
    runtime = root.request("GET", f"sys/policies/acl/{APP}")
    return {
        "anybody connects": grants[0],
        "the pooler creates": grants[1],
        "runtime policy": runtime.json()["data"]["policy"] if runtime.is_success else None,
        "ops policy": root.read(f"sys/policies/acl/{OTHER}-ops")["data"]["policy"],
        "transit": root.request("GET", "sys/mounts/transit").status_code,
        "image": deployment["template"]["spec"]["containers"][0]["image"],
        "branch": application["source"]["targetRevision"],
        "denial": cluster.get(DENIAL).status_code,
    }


def paths(step: dict[str, Any]) -> set[str]:
    """The property paths of an update."""
    return set(step.get("detailedDiff") or {})
