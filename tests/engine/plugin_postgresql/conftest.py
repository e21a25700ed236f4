"""One throw-away server for all tests of the plugin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.plugin_process import PluginProcess, plugin_process
from tests.support.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="session")
def plugin(server: PostgresServer) -> Iterator[PluginProcess]:
    with plugin_process("postgresql", server.config) as running:
        yield running
