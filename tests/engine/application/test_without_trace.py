"""What a stack made, its `destroy` takes away again. The last file: nothing of the shared stack is left after it."""

from __future__ import annotations

import httpx
import pytest

from tests.engine.application.conftest import APP, KEPT, OTHER, PLAIN, STACK, Site, log_as_the_sandbox_does
from tests.support.identities import VaultIdentity, short_lived_login, superuser, workload

pytestmark = pytest.mark.engine


def test_destroy_leaves_nothing_behind(site: Site, cluster: httpx.Client, root: VaultIdentity) -> None:
    """Also with database users whose lease has not ended."""
    login = short_lived_login(workload(site.endpoints, APP), APP)
    site.project.factory("destroy", "--yes")
    assert site.project.resources(STACK) == {}
    with superuser(site.endpoints) as connection:
        names = {
            name
            for (name,) in connection.execute("SELECT rolname FROM pg_roles UNION SELECT datname FROM pg_database")
            if name.startswith((APP, OTHER, PLAIN))
        }
        assert names == set()
        gone = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [login.username]).fetchone()
        assert gone is None
    assert not {"kvv2/", "postgres/", "transit/", "kvv1/"} & root.read("sys/mounts")["data"].keys()
    assert root.read("sys/auth")["data"].keys() == {"token/"}
    policies = set(root.read("sys/policies/acl?list=true")["data"]["keys"])
    assert {name for name in policies if not name.startswith(KEPT)} == {"default", "root"}
    namespaces = cluster.get("/api/v1/namespaces").raise_for_status().json()["items"]
    assert not {APP, OTHER, PLAIN} & {namespace["metadata"]["name"] for namespace in namespaces}
    log_as_the_sandbox_does(site.endpoints)
