"""What a running application does: from its ServiceAccount's token to its own table (APP-07; section 8, item 2)."""

from __future__ import annotations

import psycopg
import pytest

from sandbox.endpoints import Endpoints
from tests.engine.application.conftest import APP, Site
from tests.support.identities import Login, VaultIdentity, connect, short_lived_login, superuser, workload

pytestmark = pytest.mark.engine


def through_pooler(endpoints: Endpoints, login: Login) -> psycopg.Connection[tuple[object, ...]]:
    pooler = endpoints.pooler
    if pooler is None:
        pytest.skip("no pgbouncer on this machine: the hop through the pooler is not covered (PG-13)")
    return psycopg.connect(
        host=pooler.host,
        port=pooler.port,
        dbname=APP,
        user=login.username,
        password=login.password,
        autocommit=True,
        connect_timeout=10,
    )


def test_a_service_account_gets_a_login_that_ends_with_its_lease(site: Site, root: VaultIdentity) -> None:
    login = short_lived_login(workload(site.endpoints, APP), APP)
    connection = connect(site.endpoints, APP, login)
    assert connection.execute("SELECT session_user, current_user").fetchone() == (login.username, f"{APP}_role")
    connection.execute("CREATE TABLE visits (page text)")
    connection.execute("INSERT INTO visits VALUES ('/')")
    root.request("PUT", "sys/leases/revoke", {"lease_id": login.lease_id, "sync": True}).raise_for_status()
    with pytest.raises(psycopg.OperationalError):  # the session has ended
        connection.execute("SELECT 1")
    connection.close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(site.endpoints, APP, login)
    with superuser(site.endpoints, APP) as admin:
        assert admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [login.username]).fetchone() is None
        owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'visits'"
        assert admin.execute(owner).fetchone() == (f"{APP}_role",)
    successor = short_lived_login(workload(site.endpoints, APP), APP)
    assert successor.username != login.username
    with connect(site.endpoints, APP, successor) as heir:
        assert heir.execute("SELECT page FROM visits").fetchall() == [("/",)]
        heir.execute("DROP TABLE visits")


def test_the_pooler_lets_the_application_in_and_nobody_after_the_lease(site: Site, root: VaultIdentity) -> None:
    """APP-24: the way a pod takes (PG-13); the session through the pooler ends with the lease too (VAULT-73)."""
    login = short_lived_login(workload(site.endpoints, APP), APP)
    connection = through_pooler(site.endpoints, login)
    assert connection.execute("SELECT session_user, current_user").fetchone() == (login.username, f"{APP}_role")
    connection.execute("CREATE TABLE pooled (id int)")
    root.request("PUT", "sys/leases/revoke", {"lease_id": login.lease_id, "sync": True}).raise_for_status()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    with pytest.raises(psycopg.OperationalError):
        through_pooler(site.endpoints, login)
    with through_pooler(site.endpoints, short_lived_login(workload(site.endpoints, APP), APP)) as heir:
        heir.execute("DROP TABLE pooled")


def test_an_application_owns_nothing_but_its_database(site: Site) -> None:
    login = short_lived_login(workload(site.endpoints, APP), APP)
    with connect(site.endpoints, APP, login) as connection:
        attributes = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
        powers = f"SELECT bool_or({attributes}) FROM pg_roles WHERE rolname IN (session_user, current_user)"  # noqa: S608 - names that stand here
        assert connection.execute(powers).fetchone() == (False,)
        for statement in ("CREATE ROLE intruder", "CREATE DATABASE intruder", "SELECT * FROM public.user_lookup('x')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
