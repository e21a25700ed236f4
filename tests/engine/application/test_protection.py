"""Protected data survives a `destroy`, which says why it refuses (APP-39; section 8, item 7)."""

from __future__ import annotations

import httpx
import pytest

from tests.engine.application.conftest import KEEPER, KEPT, KEPT_KEY, Site, protected
from tests.support.identities import VaultIdentity, connect, short_lived_login, superuser, workload

pytestmark = pytest.mark.engine

VOLUME = f"/api/v1/namespaces/{KEPT}/persistentvolumeclaims/{KEPT}-books"


def test_destroy_refuses_and_removes_nothing(
    site: Site, keeper: str, cluster: httpx.Client, root: VaultIdentity
) -> None:
    assert keeper
    before = site.project.resources(KEEPER)
    volume = cluster.get(VOLUME).raise_for_status().json()
    with connect(site.endpoints, KEPT, short_lived_login(workload(site.endpoints, KEPT), KEPT)) as connection:
        connection.execute("CREATE TABLE entries (amount int)")
    refused = site.project.factory("destroy", "--yes", "--stack", KEEPER, check=False)
    assert refused.returncode == 1
    told = refused.stdout + refused.stderr
    assert "has protected data, so nothing was destroyed" in told
    for name in ("database:Database", "role:Role", "secretV2:SecretV2", "PersistentVolumeClaim", "Namespace"):
        assert f"{name}::{KEPT}" in told
    assert "Traceback" not in told
    assert site.project.resources(KEEPER) == before
    assert protected(site.project, KEEPER) == {
        f"{KEPT}-database",
        f"{KEPT}-owner",
        f"{KEPT}-config",
        f"{KEPT}-books",
        KEPT,  # the namespace, which would take the volume with it
    }
    with superuser(site.endpoints, KEPT) as connection:
        roles = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s", [f"{KEPT}%"]).fetchall()
        assert {name for (name,) in roles} == {f"{KEPT}_role", f"{KEPT}_edit"}
        assert connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'entries'").fetchone() == (
            f"{KEPT}_role",
        )
    assert root.read(f"kvv2/data/{KEPT}/config")["data"]["data"] == {KEPT_KEY: site.canary}
    assert cluster.get(VOLUME).raise_for_status().json()["metadata"]["uid"] == volume["metadata"]["uid"]


def test_the_application_goes_on_working(site: Site, keeper: str) -> None:
    assert keeper
    with connect(site.endpoints, KEPT, short_lived_login(workload(site.endpoints, KEPT), KEPT)) as connection:
        connection.execute("INSERT INTO entries VALUES (42)")
        assert connection.execute("SELECT amount FROM entries").fetchall() == [(42,)]


def test_an_application_that_left_the_file_is_not_removed(site: Site, keeper: str, cluster: httpx.Client) -> None:
    """PG-21, TEST-04: not by a mistake in the stack file; without `decommission` nothing of it goes."""
    assert keeper
    before = site.project.resources(KEEPER)
    document = site.project.configuration(KEEPER)
    file = site.project.stack_file(KEEPER)
    text = file.read_text("utf-8")
    document["config"] |= {"factory:apps": {}, "factory:secrets": {}}
    site.project.configure(KEEPER, document)
    try:
        for command in (("preview",), ("up",)):
            refused = site.project.factory(*command, "--stack", KEEPER, check=False)
            told = refused.stdout + refused.stderr
            assert refused.returncode == 1, told
            assert f"{KEPT}-database" in told
            assert "Traceback" not in told
            assert site.project.resources(KEEPER).keys() == before.keys(), told
    finally:
        file.write_text(text, "utf-8")
    deployment = f"/apis/apps/v1/namespaces/{KEPT}/deployments/{KEPT}"
    assert cluster.get(deployment).raise_for_status().json()["status"]["availableReplicas"] == 1
    with connect(site.endpoints, KEPT, short_lived_login(workload(site.endpoints, KEPT), KEPT)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
