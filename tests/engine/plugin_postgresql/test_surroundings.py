"""What stands around the plugin: variables of the shell, and other sessions of the server."""

from __future__ import annotations

import pytest

from tests.support.plugin_process import PluginProcess, plugin_process
from tests.support.postgres_server import PASSWORD, PostgresServer
from toolchain.plugins.kit import Context, ProviderError
from toolchain.plugins.postgresql import connections
from toolchain.plugins.postgresql.connections import Address, Server
from toolchain.plugins.postgresql.roles import Role

pytestmark = pytest.mark.engine

ROLE = "postgresql:index/role:Role"


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
    own = Server(Address("127.0.0.1", server.port, "postgres", PASSWORD, "postgres", 10, {"sslmode": "disable"}))
    try:
        with server.connect() as other:
            other.execute("BEGIN; LOCK TABLE busy")
            with pytest.raises(ProviderError, match="Cannot remove role leaving: another session holds a lock"):
                Role(own).delete(Context(ROLE), "leaving", made.inputs, made.outputs)
        Role(own).delete(Context(ROLE), "leaving", made.inputs, made.outputs)
    finally:
        own.forget("postgres")
    assert plugin.read(made) is None
