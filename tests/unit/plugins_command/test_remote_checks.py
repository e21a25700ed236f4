"""What is refused before any connection is made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plugin_process import CheckFailedError, PluginProcess
from toolchain.plugins.kit import UNKNOWN, Archive, Asset

COMMAND = "command:remote:Command"
COPY = "command:remote:CopyToRemote"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
HOST = {"host": "host.example.test", "hostKey": KEY}


@pytest.mark.parametrize(
    ("connection", "failure"),
    [
        ({"host": "host.example.test"}, "connection.hostKey: is needed: the key of host.example.test is always pinned"),
        ({**HOST, "hostKey": ""}, "connection.hostKey: is needed"),
        ({**HOST, "hostKey": "ssh-ed25519 nonsense"}, "connection.hostKey: is not a public key"),
        (
            {**HOST, "proxy": {"host": "jump.example.test"}},
            "connection.proxy.hostKey: is needed: the key of jump.example",
        ),
        ({**HOST, "prot": 22}, "connection.prot: command:remote:Command has no property connection.prot"),
    ],
)
def test_a_host_needs_its_pinned_key(plugin: PluginProcess, connection: dict[str, Any], failure: str) -> None:
    with pytest.raises(CheckFailedError) as refused:
        plugin.check(COMMAND, "x", {"connection": connection, "create": "true"})
    assert failure in str(refused.value)


@pytest.mark.parametrize("connection", [HOST, {"host": UNKNOWN, "hostKey": UNKNOWN}, UNKNOWN, {**HOST, "proxy": HOST}])
def test_what_is_not_known_yet_is_no_failure(plugin: PluginProcess, connection: dict[str, Any]) -> None:
    made = plugin.check(COMMAND, "x", {"connection": connection, "create": "true"})
    assert made.inputs["addPreviousOutputInEnv"] is True


@pytest.mark.parametrize("source", [Asset(uri="https://example.test/x"), Archive(assets={"a": Asset(text="a")})])
def test_a_source_which_is_no_local_file_is_refused(plugin: PluginProcess, source: Asset | Archive) -> None:
    with pytest.raises(CheckFailedError, match="source: must be a FileAsset, a StringAsset or a FileArchive"):
        plugin.check(COPY, "x", {"connection": HOST, "remotePath": "/x", "source": source})
