"""What stands around the plugin: variables of the shell, and other sessions of the server."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.plugin_process import PluginProcess, plugin_process
from tests.support.postgres_server import PASSWORD, PostgresServer
from toolchain.plugins.kit import Context, ProviderError
from toolchain.plugins.postgresql import connections
from toolchain.plugins.postgresql.connections import Address, NoDatabaseError, Server
from toolchain.plugins.postgresql.roles import Role

pytestmark = pytest.mark.engine

ROLE = "postgresql:index/role:Role"


def address(server: PostgresServer, database: str = "postgres") -> Address:
    return Address("127.0.0.1", server.port, "postgres", PASSWORD, database, 10, {"sslmode": "disable"})


@pytest.mark.parametrize(
    ("name", "value"), [("PGHOSTADDR", "127.0.0.2"), ("PGOPTIONS", "-c role=nobody-at-all"), ("PGSERVICE", "elsewhere")]
)
def test_a_variable_of_the_shell_leads_nowhere_else(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The policies judge the host that the program names: libpq would go to the address of the variable."""
    monkeypatch.setenv(name, value)
    with plugin_process("postgresql", server.config) as plugin:
        plugin.delete(plugin.create(ROLE, "r", {"name": "here"}))


def test_a_lock_of_somebody_else_is_told_instead_of_waited_for(
    plugin: PluginProcess, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a role leaves behind is given away, which an open transaction of its last session may be in the way of."""
    made = plugin.create(ROLE, "r", {"name": "leaving"})
    server.query("CREATE TABLE busy (); ALTER TABLE busy OWNER TO leaving")
    monkeypatch.setattr(connections, "_LOCK_SECONDS", 1)
    own = Server(address(server))
    try:
        with server.connect() as other:
            other.execute("BEGIN; LOCK TABLE busy")
            with pytest.raises(ProviderError, match="Cannot remove role leaving: another session holds a lock"):
                Role(own).delete(Context(ROLE), "leaving", made.inputs, made.outputs)
        Role(own).delete(Context(ROLE), "leaving", made.inputs, made.outputs)
    finally:
        own.forget("postgres")
    assert plugin.read(made) is None


@pytest.mark.parametrize("said", ["база данных {} не существует", "la base de données « {} » n'existe pas"])
def test_a_database_that_is_gone_is_known_in_any_language(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """A server answers in the language of `lc_messages`, and without an SQLSTATE that a client could see."""
    connect = psycopg.connect

    def translated(**parameters: object) -> object:
        try:
            return connect(**parameters)  # type: ignore[arg-type]  # what the plugin gives
        except psycopg.OperationalError:
            raise psycopg.OperationalError(f"FATAL:  {said.format(parameters['dbname'])}") from None

    monkeypatch.setattr(psycopg, "connect", translated)
    own = Server(address(server))
    try:
        with pytest.raises(NoDatabaseError, match=f"no database gone on PostgreSQL at 127.0.0.1:{server.port}"):
            own.rows("SELECT 1", {}, "gone")
        server.query("CREATE DATABASE locked ALLOW_CONNECTIONS false")
        with pytest.raises(ProviderError, match=r"refuses or does not answer: .*locked") as refused:
            own.rows("SELECT 1", {}, "locked")
        assert not isinstance(refused.value, NoDatabaseError)
    finally:
        own.forget("postgres")
        server.query("DROP DATABASE IF EXISTS locked")


def test_the_database_of_the_provider_itself_is_never_taken_for_gone(server: PostgresServer) -> None:
    """All roles and databases would count as removed."""
    with pytest.raises(ProviderError, match=r"refuses or does not answer: .*nowhere") as refused:
        Server(address(server, "nowhere")).rows("SELECT 1", {})
    assert not isinstance(refused.value, NoDatabaseError)
