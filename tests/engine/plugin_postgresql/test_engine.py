"""The plugin on the real engine: create, no-op, drift, update, replace, import, secrets, delete, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plugin_program import Program
from tests.support.postgres_server import PostgresServer

pytestmark = pytest.mark.engine

CANARY = "k4nary-of-the-engine"
HEAD = """
import json, os, pulumi

given = json.loads(os.environ["VALUES"])
"""
PROGRAM = (
    HEAD
    + """
import pulumi_postgresql as postgresql

config = given["config"]
provider = postgresql.Provider("p", **{**config, "password": pulumi.Output.secret(config["password"])})
opts = pulumi.ResourceOptions(provider=provider)
owner = postgresql.Role("owner", name="engine-app_role", opts=opts)
editor = postgresql.Role(
    "editor", name="engine_editor", login=True, create_role=True, password=pulumi.Output.secret(given["password"]),
    opts=pulumi.ResourceOptions(provider=provider, ignore_changes=["roles"]),
)
membership = postgresql.GrantRole(
    "membership", role=editor.name, grant_role=owner.name, with_admin_option=True, opts=opts
)
database = postgresql.Database("database", name="engine-app", owner=owner.name, alter_object_ownership=True, opts=opts)
closed = postgresql.Grant(
    "closed", database=database.name, role="public", object_type="database", privileges=[], opts=opts
)
connect = postgresql.Grant(
    "connect", database=database.name, role=owner.name, object_type="database",
    privileges=["CONNECT", "CREATE", "TEMPORARY"], opts=pulumi.ResourceOptions(provider=provider, depends_on=[closed]),
)
lookup = postgresql.Function(
    "lookup", database=database.name, name="user_lookup",
    args=[{"name": "i_username", "type": "text"}, {"mode": "OUT", "name": "uname", "type": "text"}],
    body=given.get("body", "BEGIN uname := i_username; END;"), security_definer=True, parallel="SAFE", opts=opts,
)
execute = postgresql.Grant(
    "execute", database=database.name, schema="public", role="public", object_type="function",
    objects=[lookup.name], privileges=[], opts=opts,
)
pulumi.export("editor", editor.password)
pulumi.export("id", connect.id)
"""
)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    project = Program.write(tmp_path / "project", PROGRAM)
    yield project
    project.run("destroy", "--yes", "--skip-preview", "--run-program=false")


def test_a_life(server: PostgresServer, program: Program) -> None:
    values = {"config": server.config, "password": CANARY}
    printed = program.run("up", "--yes", "--skip-preview", values=values)
    program.unchanged(**values)
    assert program.outputs() == {"editor": "[secret]", "id": "engine-app_role_engine-app_database"}
    for text in (program.state(), printed, server.log.read_text()):
        assert CANARY not in text
    server.connect(user="engine_editor", password=CANARY).close()

    server.query('ALTER ROLE "engine-app_role" LOGIN CONNECTION LIMIT 3')
    server.query("ALTER ROLE engine_editor PASSWORD 'another'")
    server.query('REVOKE "engine-app_role" FROM engine_editor')
    server.query('GRANT CONNECT ON DATABASE "engine-app" TO public')
    server.query('ALTER DATABASE "engine-app" OWNER TO postgres')
    server.query("GRANT EXECUTE ON FUNCTION user_lookup TO public", "engine-app")
    assert program.steps(**values) == {
        "owner": ["update", "connectionLimit", "login"],
        "editor": ["update", "password"],
        "membership": ["create"],
        "closed": ["update", "privileges[0]"],
        "database": ["update", "owner"],
        # What an owner has goes over to the next owner.
        "connect": ["update", "privileges[0]", "privileges[1]", "privileges[2]"],
        "execute": ["update", "privileges[0]"],
    }
    program.up(**values)
    server.connect(user="engine_editor", password=CANARY).close()

    # The changed key is all there is to do: nothing is left of the repair.
    values["body"] = "BEGIN uname := NULL; END;"
    assert program.steps(**values) == {"lookup": ["update", "body"]}
    program.up(**values)

    server.query('DROP DATABASE "engine-app" WITH (FORCE)')
    made_again = {"database", "closed", "connect", "lookup", "execute"}
    assert program.steps(**values) == {name: ["create"] for name in made_again}
    program.up(**values)
    program.unchanged(**values)


def test_what_exists_is_imported(server: PostgresServer, program: Program) -> None:
    server.query("CREATE ROLE handmade")
    server.query(
        "CREATE DATABASE handmade OWNER handmade TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    server.query("GRANT CONNECT ON DATABASE handmade TO handmade")
    (program.folder / "__main__.py").write_text(
        HEAD
        + """
import pulumi_postgresql as postgresql

provider = postgresql.Provider("p", **given["config"])

def adopt(identity):
    return pulumi.ResourceOptions(provider=provider, import_=identity if given["adopt"] else None)

postgresql.Role("role", name="handmade", opts=adopt("handmade"))
postgresql.Database("database", name="handmade", owner="handmade", opts=adopt("handmade"))
postgresql.Grant(
    "grant", database="handmade", role="handmade", object_type="database",
    privileges=["CREATE", "CONNECT", "TEMPORARY"], opts=adopt("handmade_handmade_database"),
)
"""
    )
    before = server.query("SELECT oid, datacl FROM pg_database WHERE datname = 'handmade'")
    program.run("up", "--yes", "--skip-preview", values={"config": server.config, "adopt": True})
    assert server.query("SELECT oid, datacl FROM pg_database WHERE datname = 'handmade'") == before
    program.unchanged(config=server.config, adopt=False)


def test_mistakes_are_named(server: PostgresServer, program: Program) -> None:
    (program.folder / "__main__.py").write_text(
        HEAD
        + """
import pulumi_postgresql as postgresql

opts = pulumi.ResourceOptions(provider=postgresql.Provider("p", **given["config"]))

class Misspelt(pulumi.CustomResource):
    def __init__(self, token, **properties):
        super().__init__(token, "misspelt", properties, opts)

if given["mistake"] == "property":
    Misspelt("postgresql:index/role:Role", name="x", lgin=True)
elif given["mistake"] == "token":
    Misspelt("postgresql:index/roel:Role", name="x")
else:
    postgresql.Role("exists", name="postgres", login=True, password=given["password"], opts=opts)
"""
    )
    sentences = {
        "property": "postgresql:index/role:Role has no property lgin (did you mean login?)",
        "token": "pulumi_postgresql has no resource postgresql:index/roel:Role",
        "exists": 'Cannot create role postgres: role "postgres" already exists',
    }
    for mistake, sentence in sentences.items():
        values = {"config": server.config, "mistake": mistake, "password": "k4nary-of-a-failure"}
        printed = program.run("up", "--yes", "--skip-preview", check=False, values=values)
        assert sentence in printed
        assert "Traceback" not in printed
    log = server.log.read_text()
    assert "CREATE ROLE" in log
    assert "k4nary-of-a-failure" not in log


def test_an_unreachable_server_is_named(server: PostgresServer, program: Program) -> None:
    values = {"config": {**server.config, "port": 9}, "password": CANARY}
    printed = program.run("up", "--yes", "--skip-preview", check=False, values=values)
    assert "PostgreSQL at 127.0.0.1:9 refuses or does not answer" in printed
