"""The life of an object: created, unchanged, changed, replaced, deleted, made again."""

from __future__ import annotations

import pytest

from tests.support.kubernetes_objects import CONFIG_MAP, DEPLOYMENT, changes, config_map, deployment, path, refreshed
from tests.support.plugin_process import PluginProcess
from toolchain.plugins.kubernetes.client import Client, Object

pytestmark = pytest.mark.engine


def test_an_object_is_created_ready_and_a_refresh_finds_no_difference(plugin: PluginProcess, namespace: str) -> None:
    wanted = deployment(namespace, "fresh")
    made = plugin.create(DEPLOYMENT, "fresh", wanted)
    assert made.identity == f"{namespace}/fresh"
    assert made.initialization_errors == []
    assert made.outputs["status"]["availableReplicas"] == 1
    assert "managedFields" not in made.outputs["metadata"]
    found = refreshed(plugin, made)
    # Defaults, quantities in another spelling and the status are not differences.
    assert found.inputs == made.inputs
    assert changes(plugin, found, wanted) == []
    assert changes(plugin, found, deployment(namespace, "fresh", image="example.test/app:2")) == [
        "spec.template.spec.containers[0].image"
    ]


def test_one_changed_field_is_the_only_one_sent_back(plugin: PluginProcess, server: Client, namespace: str) -> None:
    made = plugin.create(CONFIG_MAP, "one", config_map(namespace, "one", a="1", b="2"))
    answer = plugin.diff(made, config_map(namespace, "one", a="1", b="3"))
    assert list(answer.detailedDiff) == ["data.b"]
    # As the official provider: a ConfigMap is replaced unless enableConfigMapMutable.
    assert list(answer.replaces) == ["data"]
    labelled = config_map(namespace, "one", a="1", b="2")
    labelled["metadata"]["labels"] = {"example.test/tier": "web"}
    assert changes(plugin, made, labelled) == ["metadata.labels"]
    updated = plugin.update(made, labelled)
    assert updated.outputs["metadata"]["labels"] == {"example.test/tier": "web"}
    removed = plugin.update(updated, config_map(namespace, "one", a="1"))
    assert removed.outputs["data"] == {"a": "1"}
    assert "labels" not in server.get(path("configmaps", namespace, "one"))["metadata"]


def test_a_deleted_object_is_gone_and_can_be_made_again(plugin: PluginProcess, server: Client, namespace: str) -> None:
    wanted = config_map(namespace, "deleted", a="1")
    made = plugin.create(CONFIG_MAP, "deleted", wanted)
    server.request("DELETE", path("configmaps", namespace, "deleted"))
    assert plugin.read(made) is None
    plugin.delete(made)
    assert plugin.create(CONFIG_MAP, "deleted", wanted).identity == made.identity


def test_what_cannot_change_in_place_is_replaced(plugin: PluginProcess, namespace: str) -> None:
    made = plugin.create(DEPLOYMENT, "fixed", deployment(namespace, "fixed"))
    other = deployment(namespace, "fixed")
    other["spec"]["selector"]["matchLabels"] = {"app": "fixed", "tier": "x"}
    answer = plugin.diff(made, other)
    assert list(answer.replaces) == ["spec"]
    assert answer.deleteBeforeReplace  # the new object needs the name
    moved = plugin.diff(made, deployment("default", "fixed"))
    assert list(moved.replaces) == ["metadata"]
    assert not moved.deleteBeforeReplace


def test_a_generated_name_is_kept_and_a_replacement_gets_another(plugin: PluginProcess, namespace: str) -> None:
    wanted: Object = {"metadata": {"namespace": namespace}, "data": {"a": "1"}}
    made = plugin.create(CONFIG_MAP, "auto", wanted)
    name = made.outputs["metadata"]["name"]
    assert name == "auto-0102030"
    assert changes(plugin, made, wanted) == []
    answer = plugin.diff(made, {**wanted, "data": {"a": "2"}})
    assert list(answer.replaces) == ["data"]
    assert not answer.deleteBeforeReplace
