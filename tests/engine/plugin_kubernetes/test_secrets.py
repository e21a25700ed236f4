"""Secrets: never in clear, and changed only as the provider is configured."""

from __future__ import annotations

import pytest

from tests.support.kubernetes_objects import SECRET, changes, path, refreshed
from tests.support.plugin_process import PluginProcess, RefusedError
from toolchain.plugins.kubernetes.client import MERGE, Client, Object

pytestmark = pytest.mark.engine


def test_values_of_a_secret_are_marked_and_never_shown(forcing: PluginProcess, server: Client, namespace: str) -> None:
    wanted: Object = {"metadata": {"namespace": namespace, "name": "login"}, "stringData": {"a": "canary-1", "b": "2"}}
    made = forcing.create(SECRET, "login", wanted)
    assert ("stringData",) in made.secret_inputs
    assert {("data",), ("stringData",)} <= made.secret_outputs
    assert made.outputs["stringData"] == {"a": "canary-1", "b": "2"}
    found = refreshed(forcing, made)
    assert found.inputs == made.inputs
    assert ("stringData",) in found.secret_inputs
    changed = forcing.update(made, {**wanted, "stringData": {"a": "canary-2"}})
    # A key which is no longer given goes away, also one which came as stringData.
    assert list(server.get(path("secrets", namespace, "login"))["data"]) == ["a"]
    server.request(
        "PATCH", path("secrets", namespace, "login"), body={"stringData": {"a": "edited"}}, content_type=MERGE
    )
    found = refreshed(forcing, changed)
    assert found.inputs["stringData"] == {"a": "edited"}
    assert list(forcing.diff(found, {**wanted, "stringData": {"a": "canary-2"}}).detailedDiff) == ["stringData.a"]
    # The server repeats the name in its refusal, and the name is what was meant to be secret.
    bad = {"metadata": {"namespace": namespace, "name": "bad"}, "stringData": {"a b": "a valid config key"}}
    with pytest.raises(RefusedError, match=r"a \[secret\] must|\[secret\] must consist"):
        forcing.create(SECRET, "bad", bad)


def test_a_secret_is_replaced_unless_it_may_be_changed(
    plugin: PluginProcess, forcing: PluginProcess, namespace: str
) -> None:
    wanted: Object = {"metadata": {"namespace": namespace, "name": "mutable"}, "stringData": {"a": "1"}}
    made = plugin.create(SECRET, "mutable", wanted)
    change = {**wanted, "stringData": {"a": "2"}}
    assert list(plugin.diff(made, change).replaces) == ["stringData"]
    assert list(forcing.diff(made, change).replaces) == []
    assert list(forcing.diff(made, {**change, "type": "example.test/other"}).replaces) == ["type"]
    # The same value, written in the other way, is no change.
    assert changes(plugin, made, {"metadata": wanted["metadata"], "data": {"a": "MQ=="}}) == []
