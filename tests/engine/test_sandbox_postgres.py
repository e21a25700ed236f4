"""PostgreSQL and the pooler: who gets in, who does not, and what the logs keep to themselves."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import toolchain
from sandbox.endpoints import Endpoints

pytestmark = pytest.mark.engine

# PG-06 to PG-08 and PG-31 in short: the applications' own component installs the full one.
USER_LOOKUP = """
CREATE FUNCTION public.user_lookup(i_username text, OUT uname text, OUT phash text) RETURNS record
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS
$$ SELECT usename::text, passwd FROM pg_catalog.pg_shadow WHERE usename = i_username AND NOT usesuper $$;
REVOKE ALL ON FUNCTION public.user_lookup(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.user_lookup(text) TO pgbouncer_auth;
"""


def superuser(sandbox: Endpoints, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
    server = sandbox.postgres
    return psycopg.connect(
        host=server.host,
        port=server.port,
        user=server.username,
        password=server.password,
        dbname=database,
        autocommit=True,
    )


@pytest.fixture
def application(sandbox: Endpoints) -> Iterator[tuple[str, str]]:
    """A database with a role of the same name that may log in; gives both names and the password."""
    name, password = f"app-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    with superuser(sandbox) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
        )
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(name)))
    with superuser(sandbox, name) as connection:
        connection.execute(USER_LOOKUP)
    yield name, password
    with superuser(sandbox) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def through_pooler(sandbox: Endpoints, database: str, user: str, password: str) -> str:
    """Log in with psql through the pooler and return who the server says it is."""
    assert sandbox.pooler
    programs = toolchain.ensure(["postgres"])["postgres"]
    done = subprocess.run(
        [programs / "psql", "-h", sandbox.pooler.host, "-p", str(sandbox.pooler.port), "-U", user, "-d", database,
         "-At", "-c", "select current_user || '@' || current_database()"],
        env={"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "5"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise PermissionError(done.stderr.strip())
    return done.stdout.strip()


def test_the_server_is_what_it_should_be(sandbox: Endpoints) -> None:
    with superuser(sandbox) as connection:

        def show(name: str) -> object:
            row = connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
            assert row
            return row[0]

        assert show("listen_addresses") == "127.0.0.1"
        assert show("password_encryption") == "scram-sha-256"
        assert show("unix_socket_directories") == ""
        rules = connection.execute("SELECT type, address, auth_method, error FROM pg_hba_file_rules").fetchall()
        assert rules == [("host", "127.0.0.1", "scram-sha-256", None)]


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_does_not_open_the_server(sandbox: Endpoints, password: str) -> None:
    server = sandbox.postgres
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=server.host, port=server.port, user=server.username, password=password, dbname="postgres")


def test_the_look_up_role_exists_and_has_no_rights(sandbox: Endpoints) -> None:
    with superuser(sandbox) as connection:
        row = connection.execute(
            "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolpassword LIKE "
            "'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'pgbouncer_auth'"
        ).fetchone()
    assert row == (True, False, False, False, False, False, True)


def test_psql_reaches_the_database_through_the_pooler(sandbox: Endpoints, application: tuple[str, str]) -> None:
    name, password = application
    assert through_pooler(sandbox, name, name, password) == f"{name}@{name}"
    with pytest.raises(PermissionError, match="authentication failed"):
        through_pooler(sandbox, name, name, "wrong")
    with pytest.raises(PermissionError):
        through_pooler(sandbox, name, "nobody-of-this-name", password)


def test_the_pooler_refuses_its_own_role_and_the_superuser_whom_the_server_accepts(
    sandbox: Endpoints, application: tuple[str, str]
) -> None:
    assert sandbox.pooler
    # A look-up without a row (the function hides superusers) is what this pgbouncer calls a "config error".
    server, role = sandbox.postgres, (sandbox.pooler.auth_role, sandbox.pooler.auth_password)
    for user, password in (role, (server.username, server.password)):
        with pytest.raises(PermissionError, match=r"login rejected|config error"):
            through_pooler(sandbox, application[0], user, password)
    with pytest.raises(PermissionError):
        through_pooler(sandbox, "pgbouncer", *application)
    with psycopg.connect(
        host=server.host, port=server.port, user=role[0], password=role[1], dbname=application[0]
    ) as direct:
        assert direct.execute("SELECT current_user").fetchone() == ("pgbouncer_auth",)


def test_the_pooler_lets_go_of_a_database_soon_after_its_last_client_left(
    sandbox: Endpoints, application: tuple[str, str]
) -> None:
    name, password = application
    through_pooler(sandbox, name, name, password)
    deadline = time.monotonic() + 90
    with superuser(sandbox) as connection:
        while connection.execute("SELECT 1 FROM pg_stat_activity WHERE datname = %s", (name,)).fetchone():
            assert time.monotonic() < deadline, "the pooler keeps its connection"
            time.sleep(0.2)


def test_a_failed_statement_leaves_no_password_in_the_logs(sandbox: Endpoints, sandbox_state: Path) -> None:
    canary = f"canary{uuid.uuid4().hex}"
    statements = (
        f"CREATE ROLE postgres LOGIN PASSWORD '{canary}'",
        f"CREATE ROLE x LOGIN PASSWORD {canary}",
        f"SELECT {canary}",
        f"SELECT '{canary}'::int",
    )
    with superuser(sandbox) as connection:
        for statement in statements:
            with pytest.raises(psycopg.Error):
                connection.execute(statement.encode())
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            host=sandbox.postgres.host, port=sandbox.postgres.port, user="x", password=canary, dbname="postgres"
        )
    logs = list((sandbox_state / "logs").iterdir())
    assert {"postgres.log", "vault-audit.log"} <= {log.name for log in logs}
    assert not [log.name for log in logs if canary.encode() in log.read_bytes()]
