"""What is not there is told, what others granted as well is taken back, a value which means none is no drift."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plugin_process import PluginProcess, RefusedError, Resource
from tests.support.postgres_server import PostgresServer

pytestmark = pytest.mark.engine

ROLE = "postgresql:index/role:Role"
MEMBERSHIP = "postgresql:index/grantRole:GrantRole"
DATABASE = "postgresql:index/database:Database"
EXTENSION = "postgresql:index/extension:Extension"
GRANT = "postgresql:index/grant:Grant"
DEFAULTS = "postgresql:index/defaultPrivileges:DefaultPrivileges"


def drift(plugin: PluginProcess, made: Resource, inputs: dict[str, Any]) -> list[str]:
    """What a refresh and a preview would show."""
    found = plugin.read(made)
    assert found is not None
    return sorted(plugin.diff(found, inputs).detailedDiff)


@pytest.fixture(scope="module")
def hall(plugin: PluginProcess, server: PostgresServer) -> str:
    """A database with a table and a function, and two roles."""
    plugin.create(DATABASE, "hall", {"name": "hall"})
    for name in ("visitor", "porter"):
        plugin.create(ROLE, name, {"name": name})
    server.query(
        "CREATE TABLE guests (name text); CREATE FUNCTION greet(times int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "hall",
    )
    return "hall"


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"role": "nobody", "objectType": "database", "privileges": ["CONNECT"]}, 'role "nobody" does not exist'),
        ({"database": "no-database", "objectType": "database", "privileges": []}, "no-database"),
        ({"schema": "nowhere", "objectType": "schema", "privileges": ["USAGE"]}, 'schema "nowhere" does not exist'),
        ({"schema": "nowhere", "objectType": "table", "privileges": ["SELECT"]}, 'schema "nowhere" does not exist'),
        ({"objectType": "table", "objects": ["guests", "no-table"], "privileges": []}, "no-table"),
        (
            {"objectType": "column", "objects": ["guests"], "columns": ["no-column"], "privileges": ["SELECT"]},
            "no-column",
        ),
    ],
    ids=["role", "database", "schema", "schema-of-tables", "table", "column"],
)
def test_a_grant_on_what_is_not_there_fails(
    plugin: PluginProcess, hall: str, properties: dict[str, Any], reason: str
) -> None:
    inputs = {"database": hall, "role": "visitor", **({} if "database" in properties else {"schema": "public"})}
    with pytest.raises(RefusedError, match=reason):
        plugin.create(GRANT, "g", {**inputs, **properties})


def test_a_grant_on_a_function_which_would_not_be_found_again_is_refused(
    plugin: PluginProcess, server: PostgresServer, hall: str
) -> None:
    inputs = {"database": hall, "role": "visitor", "schema": "public", "objectType": "function"}
    with pytest.raises(RefusedError, match="as the server does"):
        plugin.create(GRANT, "g", {**inputs, "objects": ["greet(int)"], "privileges": ["EXECUTE"]})
    assert server.query("SELECT proacl FROM pg_proc WHERE proname = 'greet'", hall) == [(None,)]
    for name in ("greet(times integer)", "greet"):
        wanted = {**inputs, "objects": [name], "privileges": ["EXECUTE"]}
        assert drift(plugin, plugin.create(GRANT, "g", wanted), wanted) == []


def test_a_membership_ends_whoever_granted_it(plugin: PluginProcess, server: PostgresServer) -> None:
    for name in ("club", "president", "member"):
        plugin.create(ROLE, name, {"name": name})
    server.query("GRANT club TO president WITH ADMIN OPTION")
    again = "SET ROLE president; GRANT club TO member"
    made = plugin.create(MEMBERSHIP, "m", {"role": "member", "grantRole": "club"})
    server.query(again)
    plugin.delete(made)
    assert plugin.read(made) is None

    role = plugin.update(plugin.create(ROLE, "other", {"name": "other"}), {"name": "other", "roles": ["club"]})
    server.query(again.replace("member", "other"))
    assert drift(plugin, plugin.update(role, {"name": "other"}), {"name": "other"}) == []


def test_several_privileges_on_a_column_are_none_on_the_table(
    plugin: PluginProcess, server: PostgresServer, hall: str
) -> None:
    """`SELECT, UPDATE (name)` is SELECT on all of the table."""
    inputs = {"database": hall, "role": "visitor", "schema": "public", "objectType": "column", "objects": ["guests"]}
    wanted = {**inputs, "columns": ["name"], "privileges": ["SELECT", "UPDATE"]}
    made = plugin.create(GRANT, "g", wanted)
    assert drift(plugin, made, wanted) == []
    assert server.query("SELECT has_table_privilege('visitor', 'guests', 'SELECT')", hall) == [(False,)]
    plugin.delete(made)


@pytest.mark.parametrize(
    ("what", "properties"),
    [
        ("DATABASE hall", {"objectType": "database"}),
        ("SCHEMA public", {"objectType": "schema", "schema": "public"}),
        ("TABLE guests", {"objectType": "table", "schema": "public"}),
        ("TABLE guests", {"objectType": "table", "schema": "public", "objects": ["guests"]}),
        ("FUNCTION greet", {"objectType": "function", "schema": "public"}),
        ("TABLE guests", {"objectType": "column", "schema": "public", "objects": ["guests"], "columns": ["name"]}),
    ],
    ids=["database", "schema", "all-tables", "table", "function", "column"],
)
def test_a_privilege_that_somebody_else_gave_is_taken_back(
    plugin: PluginProcess, server: PostgresServer, hall: str, what: str, properties: dict[str, Any]
) -> None:
    """The owner cannot revoke it: it came back as drift after each repair."""
    kind = properties["objectType"]
    privilege = {"database": "CREATE", "schema": "CREATE", "function": "EXECUTE", "column": "UPDATE (name)"}.get(
        kind, "DELETE"
    )
    wanted = {"database": hall, "role": "visitor", "privileges": [], **properties}
    made = plugin.create(GRANT, "g", wanted)
    foreign = (
        f"GRANT {privilege} ON {what} TO porter WITH GRANT OPTION; SET ROLE porter; "
        f"GRANT {privilege} ON {what} TO visitor; RESET ROLE"
    )
    server.query(foreign, hall)
    assert drift(plugin, made, wanted) != []
    assert drift(plugin, plugin.update(made, wanted), wanted) == []
    kept = plugin.create(GRANT, "of-the-porter", {**wanted, "role": "porter"} | {"privileges": [privilege.split()[0]]})
    server.query(foreign, hall)
    plugin.delete(made)
    assert drift(plugin, made, wanted) == []
    plugin.delete(kept)


NOTHING_ON_TABLES: dict[str, Any] = {"role": "visitor", "privileges": [], "objectType": "table", "schema": "public"}


def gives(role: str) -> str:
    """Statements with which a role passes a privilege on that it was given with leave to do so."""
    return (
        f"GRANT DELETE ON guests TO {role} WITH GRANT OPTION; SET ROLE {role}; "
        "GRANT DELETE ON guests TO visitor; RESET ROLE; "
    )


def test_a_privilege_that_nobody_can_take_back_is_told(
    plugin: PluginProcess, server: PostgresServer, hall: str
) -> None:
    """A superuser who revokes does so as the owner, and CASCADE passes a superuser over."""
    wanted = {"database": hall, **NOTHING_ON_TABLES}
    plugin.create(ROLE, "keeper", {"name": "keeper"})
    made = plugin.create(GRANT, "g", wanted)
    server.query(gives("keeper") + "ALTER ROLE keeper SUPERUSER", hall)
    with pytest.raises(RefusedError, match=r"what keeper gave to visitor cannot be taken back\. .* superuser"):
        plugin.update(made, wanted)
    server.query("ALTER ROLE keeper NOSUPERUSER")
    assert drift(plugin, plugin.update(made, wanted), wanted) == []


def test_a_giver_who_cannot_enter_the_schema_any_more_is_told(
    plugin: PluginProcess, server: PostgresServer, hall: str
) -> None:
    wanted = {"database": hall, **NOTHING_ON_TABLES}
    made = plugin.create(GRANT, "g", wanted)
    server.query(gives("porter") + "REVOKE USAGE ON SCHEMA public FROM PUBLIC", hall)
    with pytest.raises(RefusedError, match=r"what porter gave to visitor .* lost USAGE on the schema"):
        plugin.update(made, wanted)
    server.query("GRANT USAGE ON SCHEMA public TO PUBLIC", hall)
    assert drift(plugin, plugin.update(made, wanted), wanted) == []


def test_the_servers_own_default_privileges_are_seen(plugin: PluginProcess, server: PostgresServer, hall: str) -> None:
    plugin.create(ROLE, "maker", {"name": "maker"})
    inputs = {"database": hall, "owner": "maker", "role": "public", "objectType": "function"}
    closed = {**inputs, "privileges": []}
    made = plugin.create(DEFAULTS, "d", closed)
    assert drift(plugin, made, closed) == []
    # With this the server has its own default again, and forgets that there was another.
    server.query("ALTER DEFAULT PRIVILEGES FOR ROLE maker GRANT EXECUTE ON FUNCTIONS TO PUBLIC", hall)
    assert drift(plugin, made, closed) == ["privileges[0]"]
    opened = {**inputs, "privileges": ["EXECUTE"]}
    assert drift(plugin, plugin.update(made, opened), opened) == []
    owned = {**inputs, "role": "maker", "objectType": "sequence", "privileges": ["ALL"]}
    assert drift(plugin, plugin.create(DEFAULTS, "s", owned), owned) == []


def test_an_extension_which_is_there_is_moved_or_refused(
    plugin: PluginProcess, server: PostgresServer, hall: str
) -> None:
    """The server passes over one that exists, wherever it is."""
    server.query("CREATE SCHEMA here; CREATE SCHEMA there; CREATE EXTENSION vector SCHEMA here", hall)
    inputs = {"database": hall, "name": "vector", "schema": "there"}
    assert drift(plugin, plugin.create(EXTENSION, "e", inputs), inputs) == []
    with pytest.raises(RefusedError, match=r"create extension hall\.plpgsql: .*does not support SET SCHEMA"):
        plugin.create(EXTENSION, "p", {**inputs, "name": "plpgsql"})


@pytest.mark.parametrize(
    "settings",
    [
        {"statementTimeout": 0, "idleInTransactionSessionTimeout": 0},
        {"searchPaths": [], "assumeRole": "", "password": ""},
        {"searchPaths": ['od"d', "$user", "a,b"]},
    ],
    ids=["zero", "empty", "odd-names"],
)
def test_a_setting_which_means_none_is_no_drift(
    plugin: PluginProcess, server: PostgresServer, settings: dict[str, Any]
) -> None:
    inputs = {"name": "settled", **settings}
    made = plugin.create(ROLE, "r", inputs)
    assert drift(plugin, made, inputs) == []
    server.query("ALTER ROLE settled SET statement_timeout = 5; ALTER ROLE settled PASSWORD 'x'")
    assert "statementTimeout" in drift(plugin, made, inputs)
    assert ("password" in drift(plugin, made, inputs)) is ("password" in settings)
    plugin.delete(made)


def test_a_password_follows_a_write_only_one(plugin: PluginProcess, server: PostgresServer) -> None:
    """Until now the role was left without any password."""
    made = plugin.create(ROLE, "r", {"name": "turncoat", "login": True, "passwordWo": "one", "passwordWoVersion": "1"})
    plain = {"name": "turncoat", "login": True, "password": "two"}
    changed = plugin.update(made, plain)
    server.connect(user="turncoat", password="two").close()
    assert drift(plugin, changed, plain) == []
    back = {"name": "turncoat", "login": True, "passwordWo": "three", "passwordWoVersion": "1"}
    plugin.update(changed, back)
    server.connect(user="turncoat", password="three").close()


@pytest.mark.parametrize(
    "password",
    [
        "p\u00e4ss w\u00f6rd",
        "\ufb01ne",
        "\u00a0x",
        "so\u00adft",
        "smile \U0001f600 \ufb01",
        "\u0627\u06441a\ufb01",
        "\ue000\ufb01",
    ],
    ids=["letters", "ligature", "space", "soft-hyphen", "emoji", "two-directions", "private"],
)
def test_a_password_of_other_letters_opens_the_door(
    plugin: PluginProcess, server: PostgresServer, password: str
) -> None:
    """The verifier is that of the password as a client prepares it."""
    inputs = {"name": "polyglot", "login": True, "password": password}
    made = plugin.create(ROLE, "r", inputs)
    server.connect(user="polyglot", password=password).close()
    server.query(f"ALTER ROLE polyglot PASSWORD '{password}'")
    assert drift(plugin, made, inputs) == []
    plugin.delete(made)
