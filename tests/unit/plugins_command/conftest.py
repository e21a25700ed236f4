"""The plugin in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.plugin_process import PluginProcess, plugin_process


@pytest.fixture(scope="session")
def plugin() -> Iterator[PluginProcess]:
    with plugin_process("command", {}) as running:
        yield running
