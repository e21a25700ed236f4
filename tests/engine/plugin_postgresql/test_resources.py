"""Each resource against a real server: what it makes, what it sees, what it repairs, what it leaves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.support.plugin_process import PluginProcess, RefusedError, Resource, plugin_process
from tests.support.postgres_server import PostgresServer

pytestmark = pytest.mark.engine

ROLE = "postgresql:index/role:Role"
MEMBERSHIP = "postgresql:index/grantRole:GrantRole"
DATABASE = "postgresql:index/database:Database"
SCHEMA = "postgresql:index/schema:Schema"
EXTENSION = "postgresql:index/extension:Extension"
FUNCTION = "postgresql:index/function:Function"
GRANT = "postgresql:index/grant:Grant"
DEFAULTS = "postgresql:index/defaultPrivileges:DefaultPrivileges"


def differences(plugin: PluginProcess, made: Resource, inputs: dict[str, Any]) -> list[str]:
    """What a refresh and a preview would show."""
    found = plugin.read(made)
    assert found is not None
    assert found.identity == made.identity
    return sorted(plugin.diff(found, inputs).detailedDiff)


def imported(plugin: PluginProcess, made: Resource, inputs: dict[str, Any]) -> list[str]:
    """What differs after an import by id."""
    return differences(plugin, Resource(made.urn, made.identity), inputs)


def test_a_role_is_as_described(plugin: PluginProcess, server: PostgresServer) -> None:
    plugin.create(ROLE, "group", {"name": "a-group"})
    inputs = {
        "name": "a-role",
        "login": True,
        "createDatabase": True,
        "createRole": True,
        "inherit": False,
        "replication": True,
        "bypassRowLevelSecurity": True,
        "connectionLimit": 7,
        "validUntil": "2031-02-03 04:05:06+00",
        "roles": ["a-group"],
        "searchPaths": ["app", "Odd Name"],
        "statementTimeout": 1500,
        "idleInTransactionSessionTimeout": 60000,
        "assumeRole": "a-group",
        "password": "first",
    }
    made = plugin.create(ROLE, "role", inputs)
    assert made.identity == "a-role"
    assert differences(plugin, made, inputs) == []
    assert imported(plugin, made, inputs) == ["password"]
    with server.connect(user="a-role", password="first") as connection:
        shown = connection.execute("SELECT current_user, current_setting('search_path')").fetchone()
        assert shown == ("a-group", 'app, "Odd Name"')

    plain = {"name": "a-role", "login": True, "password": "second"}
    changed = plugin.update(made, plain)
    assert differences(plugin, changed, plain) == []
    with pytest.raises(psycopg.OperationalError):
        server.connect(user="a-role", password="first")
    server.connect(user="a-role", password="second").close()

    server.query('ALTER ROLE "a-role" SUPERUSER')
    server.query("ALTER ROLE \"a-role\" SET statement_timeout = '2s'")
    server.query('GRANT "a-group" TO "a-role"')
    assert differences(plugin, changed, plain) == ["roles[0]", "statementTimeout", "superuser"]
    renamed = plugin.update(changed, {**plain, "name": "b-role"})
    assert server.query("SELECT rolname FROM pg_roles WHERE rolname IN ('a-role', 'b-role')") == [("b-role",)]
    found = plugin.read(renamed)
    assert found is not None
    assert found.identity == "b-role"
    plugin.delete(found)
    assert plugin.read(found) is None
    plugin.delete(found)


def test_a_write_only_password_is_set_by_its_version(plugin: PluginProcess, server: PostgresServer) -> None:
    inputs = {"name": "write-only", "login": True, "passwordWo": "one", "passwordWoVersion": "1"}
    made = plugin.create(ROLE, "wo", inputs)
    assert "passwordWo" not in made.outputs
    assert not plugin.diff(made, {**inputs, "passwordWo": "two"}).detailedDiff
    plugin.update(made, {**inputs, "passwordWo": "two", "passwordWoVersion": "2"})
    server.connect(user="write-only", password="two").close()


def test_a_removed_role_leaves_its_objects_to_the_provider(plugin: PluginProcess, server: PostgresServer) -> None:
    made = plugin.create(ROLE, "r", {"name": "leaver"})
    server.query("CREATE TABLE left_behind (); ALTER TABLE left_behind OWNER TO leaver")
    plugin.delete(made)
    assert server.query("SELECT tableowner FROM pg_tables WHERE tablename = 'left_behind'") == [("postgres",)]


def test_a_membership_is_replaced_when_its_option_changed(plugin: PluginProcess, server: PostgresServer) -> None:
    for name in ("team_a", "team"):
        plugin.create(ROLE, name, {"name": name})
    inputs = {"role": "team", "grantRole": "team_a", "withAdminOption": True}
    made = plugin.create(MEMBERSHIP, "m", inputs)
    assert made.identity == "team_team_a_true"
    assert imported(plugin, made, inputs) == []
    server.query("REVOKE ADMIN OPTION FOR team_a FROM team")
    found = plugin.read(made)
    assert found is not None
    diff = plugin.diff(found, inputs)
    assert (list(diff.replaces), diff.deleteBeforeReplace) == (["withAdminOption"], True)
    plugin.delete(found)
    assert plugin.read(made) is None


def test_a_database_changes_hands_with_all_that_is_in_it(plugin: PluginProcess, server: PostgresServer) -> None:
    for name in ("old-owner", "new-owner"):
        plugin.create(ROLE, name, {"name": name})
    inputs = {"name": "with-hyphen", "owner": "old-owner", "connectionLimit": 9, "alterObjectOwnership": True}
    made = plugin.create(DATABASE, "d", inputs)
    assert imported(plugin, made, inputs) == []
    server.query('CREATE TABLE t (); ALTER TABLE t OWNER TO "old-owner"', "with-hyphen")
    changed = plugin.update(made, {**inputs, "owner": "new-owner", "connectionLimit": -1, "isTemplate": True})
    assert server.query("SELECT tableowner FROM pg_tables WHERE tablename = 't'", "with-hyphen") == [("new-owner",)]
    assert differences(plugin, changed, changed.inputs) == []
    assert list(plugin.diff(changed, {**changed.inputs, "encoding": "SQL_ASCII"}).replaces) == ["encoding"]
    with server.connect("with-hyphen") as held:
        plugin.delete(changed)
        with pytest.raises(psycopg.OperationalError):
            held.execute("SELECT 1")
    assert plugin.read(changed) is None


def test_one_connection_is_enough_to_change_hands(server: PostgresServer) -> None:
    inputs = {"name": "lonely", "owner": "lonely-old", "alterObjectOwnership": True}
    with (
        ThreadPoolExecutor() as waiting,
        plugin_process("postgresql", {**server.config, "maxConnections": 1}) as plugin,
    ):
        roles = [plugin.create(ROLE, name, {"name": name}) for name in ("lonely-old", "lonely-new")]
        made = plugin.create(DATABASE, "d", inputs)
        server.query('CREATE TABLE t (); ALTER TABLE t OWNER TO "lonely-old"', "lonely")
        changed = waiting.submit(plugin.update, made, {**inputs, "owner": "lonely-new"}).result(120)
        assert server.query("SELECT tableowner FROM pg_tables WHERE tablename = 't'", "lonely") == [("lonely-new",)]
        for resource in (changed, *roles):
            plugin.delete(resource)


def test_a_schema_is_adopted_and_an_extension_made(plugin: PluginProcess, server: PostgresServer) -> None:
    plugin.create(ROLE, "o", {"name": "schema-owner"})
    plugin.create(DATABASE, "d", {"name": "rooms"})
    inputs = {"database": "rooms", "name": "public", "owner": "schema-owner"}
    made = plugin.create(SCHEMA, "s", inputs)
    assert made.identity == "rooms.public"
    assert imported(plugin, made, inputs) == []
    server.query("ALTER SCHEMA public OWNER TO postgres", "rooms")
    assert differences(plugin, made, inputs) == ["owner"]
    plugin.update(made, {**inputs, "name": "renamed"})
    server.query("CREATE TABLE renamed.t ()", "rooms")
    kept = plugin.check(SCHEMA, "s", {**inputs, "name": "renamed"})
    kept.identity = made.identity
    with pytest.raises(RefusedError, match=r"Cannot remove schema rooms\.public: .*depend on it"):
        plugin.delete(kept)
    plugin.delete(Resource(kept.urn, kept.identity, {**kept.inputs, "dropCascade": True}))
    wanted = {"database": "rooms", "name": "plpgsql"}
    extension = plugin.create(EXTENSION, "e", wanted)
    assert imported(plugin, extension, wanted) == []
    plugin.delete(extension)
    assert plugin.read(extension) is None


@pytest.fixture(scope="module")
def house(plugin: PluginProcess, server: PostgresServer) -> str:
    """A database with a table, a sequence, functions and a role."""
    plugin.create(ROLE, "guest", {"name": "guest-role"})
    plugin.create(DATABASE, "house", {"name": "house"})
    server.query(
        "CREATE TABLE one (a int, b int); CREATE TABLE two (); CREATE SEQUENCE counter;"
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "house",
    )
    return "house"


IN_PUBLIC = {"schema": "public"}


@pytest.mark.parametrize(
    ("properties", "drift"),
    [
        ({"objectType": "database", "privileges": ["CONNECT"]}, "GRANT CREATE ON DATABASE house TO"),
        ({"objectType": "schema", **IN_PUBLIC, "privileges": ["USAGE"]}, "REVOKE ALL ON SCHEMA public FROM"),
        ({"objectType": "table", **IN_PUBLIC, "privileges": ["SELECT"]}, "REVOKE SELECT ON two FROM"),
        (
            {"objectType": "table", **IN_PUBLIC, "objects": ["one"], "privileges": ["ALL"]},
            "REVOKE INSERT ON one FROM",
        ),
        (
            {"objectType": "sequence", **IN_PUBLIC, "privileges": ["USAGE", "SELECT"]},
            "REVOKE USAGE ON SEQUENCE counter FROM",
        ),
        (
            {"objectType": "function", **IN_PUBLIC, "objects": ["f(integer)"], "privileges": ["EXECUTE"]},
            "REVOKE EXECUTE ON FUNCTION f(int) FROM",
        ),
        (
            {"objectType": "column", **IN_PUBLIC, "objects": ["one"], "columns": ["b"], "privileges": ["UPDATE"]},
            "REVOKE UPDATE (b) ON one FROM",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "_".join(map(str, value.values())),
)
def test_a_grant_is_exact(
    plugin: PluginProcess, server: PostgresServer, house: str, properties: dict[str, Any], drift: str
) -> None:
    inputs = {"database": house, "role": "guest-role", **properties}
    made = plugin.create(GRANT, "g", inputs)
    assert differences(plugin, made, inputs) == []
    server.query(f'{drift} "guest-role"', house)
    assert differences(plugin, made, inputs) != []
    found = plugin.read(made)
    assert found is not None
    repaired = plugin.update(found, inputs)
    assert differences(plugin, repaired, inputs) == []
    plugin.delete(repaired)
    assert differences(plugin, repaired, {**inputs, "privileges": []}) == []


def test_nothing_is_granted_to_public_any_more(plugin: PluginProcess, server: PostgresServer, house: str) -> None:
    """PG-31, PG-34: what PostgreSQL gives to everybody by itself is seen, and taken."""
    connect = {"database": house, "role": "public", "objectType": "database", "privileges": []}
    execute = {"database": house, "role": "public", "objectType": "function", "schema": "public", "privileges": []}
    closed = [plugin.create(GRANT, "c", connect), plugin.create(GRANT, "e", execute)]
    assert [each.identity for each in closed] == ["public_house_database", "public_house_public_function"]
    assert imported(plugin, closed[0], connect) == []
    assert imported(plugin, closed[1], execute) == []
    plugin.create(ROLE, "stranger", {"name": "stranger", "login": True, "password": "x"})
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        server.connect(house, user="stranger", password="x")
    server.query("GRANT EXECUTE ON FUNCTION f(text) TO public", house)
    assert differences(plugin, closed[1], execute) == ["privileges[0]"]


def test_grants_on_one_object_may_be_made_at_once(plugin: PluginProcess, house: str) -> None:
    names = [f"crowd{number}" for number in range(12)]
    for name in names:
        plugin.create(ROLE, name, {"name": name})

    def give(name: str) -> Resource:
        inputs = {"database": house, "role": name, "objectType": "database", "privileges": ["CONNECT", "CREATE"]}
        return plugin.create(GRANT, name, inputs)

    with ThreadPoolExecutor(12) as pool:
        made = list(pool.map(give, names))
    assert [differences(plugin, each, each.inputs) for each in made] == [[]] * len(names)


def test_default_privileges_hold_for_what_comes_later(
    plugin: PluginProcess, server: PostgresServer, house: str
) -> None:
    inputs = {
        "database": house,
        "role": "guest-role",
        "owner": "postgres",
        "objectType": "table",
        "privileges": ["SELECT"],
    }
    made = plugin.create(DEFAULTS, "d", inputs)
    assert made.identity == "guest-role_house_noschema_postgres_table"
    assert differences(plugin, made, inputs) == []
    server.query("CREATE TABLE later ()", house)
    assert server.query("SELECT has_table_privilege('guest-role', 'later', 'SELECT')", house) == [(True,)]
    plugin.delete(made)
    assert differences(plugin, made, {**inputs, "privileges": []}) == []


def test_a_function_is_replaced_only_when_its_signature_changes(
    plugin: PluginProcess, server: PostgresServer, house: str
) -> None:
    inputs: dict[str, Any] = {
        "database": house,
        "name": "Look-Up",
        "args": [{"name": "who", "type": "varchar", "default": "'nobody'"}],
        "returns": "TABLE(uname varchar, phash text)",
        "body": "AS $$ BEGIN RETURN QUERY SELECT who, 'it''s'::text; END $$",
        "volatility": "STABLE",
        "parallel": "safe",
        "strict": True,
        "securityDefiner": True,
    }
    made = plugin.create(FUNCTION, "f", inputs)
    assert made.identity == "house.public.Look-Up(varchar)"
    assert differences(plugin, made, inputs) == []
    assert server.query("SELECT * FROM \"Look-Up\"('x')", house) == [("x", "it's")]
    changed = {**inputs, "body": "BEGIN END", "securityDefiner": False}
    diff = plugin.diff(made, changed)
    assert (sorted(diff.detailedDiff), list(diff.replaces)) == (["body", "securityDefiner"], [])
    updated = plugin.update(made, changed)
    assert differences(plugin, updated, changed) == []
    server.query('ALTER FUNCTION "Look-Up" SECURITY DEFINER VOLATILE', house)
    assert differences(plugin, updated, changed) == ["securityDefiner", "volatility"]
    assert list(plugin.diff(made, {**inputs, "returns": "TABLE(uname varchar)"}).replaces) == ["returns"]
    plugin.delete(updated)
    assert plugin.read(updated) is None


def test_a_user_who_is_no_superuser_can_do_it_all(plugin: PluginProcess, server: PostgresServer) -> None:
    inputs = {"name": "provisioner", "login": True, "createRole": True, "createDatabase": True, "password": "p"}
    plugin.create(ROLE, "provisioner", inputs)
    config = {**server.config, "username": "provisioner", "password": "p", "superuser": False}
    with plugin_process("postgresql", config) as plain:
        steps: list[tuple[str, dict[str, Any]]] = [
            (ROLE, {"name": "plain_owner", "password": "x", "login": True}),
            (ROLE, {"name": "plain_editor", "roles": []}),
            (MEMBERSHIP, {"role": "plain_editor", "grantRole": "plain_owner", "withAdminOption": True}),
            (DATABASE, {"name": "plain", "owner": "plain_owner"}),
            (GRANT, {"database": "plain", "role": "public", "objectType": "database", "privileges": []}),
            (GRANT, {"database": "plain", "role": "plain_editor", "objectType": "database", "privileges": ["CONNECT"]}),
        ]
        made = []
        for token, wanted in steps:
            made.append(plain.create(token, "x", wanted))
            if token != ROLE or "roles" not in wanted:
                assert differences(plain, made[-1], wanted) == []
        assert server.query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'plain'") == [
            ("plain_owner",)
        ]
        members = "SELECT count(*) FROM pg_auth_members WHERE set_option AND pg_get_userbyid(member) = 'provisioner'"
        assert server.query(members) == [(0,)]
        for each in reversed(made):
            plain.delete(each)
    assert server.query("SELECT rolname FROM pg_roles WHERE rolname LIKE 'plain%'") == []
