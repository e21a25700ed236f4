"""Fields and objects of others: shown, left alone, or taken over on request."""

from __future__ import annotations

import threading

import pytest

from sandbox.endpoints import Endpoints
from tests.support.kubernetes_objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    SECRET,
    changes,
    config_map,
    deployment,
    path,
    refreshed,
)
from tests.support.plugin_process import PluginProcess, RefusedError, Resource, plugin_process
from toolchain.plugins.kubernetes.client import APPLY, Client, Object

pytestmark = pytest.mark.engine


def test_an_edited_field_shows_and_is_repaired(
    plugin: PluginProcess, forcing: PluginProcess, server: Client, namespace: str
) -> None:
    wanted = deployment(namespace, "edited")
    made = plugin.create(DEPLOYMENT, "edited", wanted)
    edit = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "example.test/app:evil"}]}}}}
    where = path("deployments", namespace, "edited")
    kind = "application/strategic-merge-patch+json"
    server.request("PATCH", where, {"fieldManager": "kubectl-edit"}, edit, content_type=kind)
    found = refreshed(plugin, made)
    assert changes(plugin, found, wanted) == ["spec.template.spec.containers[0].image"]
    with pytest.raises(RefusedError) as refused:
        plugin.update(found, wanted)
    assert "kubectl-edit" in str(refused.value)
    assert 'containers[name="app"].image' in str(refused.value)
    assert "patchForce" in str(refused.value)
    with pytest.raises(RefusedError, match="kubectl-edit"):
        plugin.update(found, wanted, preview=True)
    repaired = forcing.update(found, wanted)
    assert refreshed(plugin, repaired).inputs == made.inputs
    assert server.get(where)["spec"]["template"]["spec"]["containers"][0]["image"] == "example.test/app:1"


def test_another_managers_fields_are_left_alone(plugin: PluginProcess, server: Client, namespace: str) -> None:
    wanted = config_map(namespace, "shared", ours="1")
    wanted["metadata"]["labels"] = {"ours": "1"}
    made = plugin.create(CONFIG_MAP, "shared", wanted)
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": {"theirs": "2"}}, "data": {"theirs": "2"}}
    where = path("configmaps", namespace, "shared")
    server.request("PATCH", where, {"fieldManager": "other"}, theirs, content_type=APPLY)
    found = refreshed(plugin, made)
    assert found.inputs == made.inputs
    wanted["metadata"]["labels"] = {"ours": "3"}
    plugin.update(found, wanted)
    live = server.get(where)
    assert live["data"] == {"ours": "1", "theirs": "2"}
    assert live["metadata"]["labels"] == {"ours": "3", "theirs": "2"}


def test_an_existing_object_is_not_taken_over_unless_asked_to(
    plugin: PluginProcess, sandbox: Endpoints, server: Client, namespace: str
) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", **config_map(namespace, "theirs", a="1")}
    server.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", {"fieldManager": "other"}, theirs)
    wanted = config_map(namespace, "theirs", b="2")
    with pytest.raises(RefusedError, match="exists already: import it"):
        plugin.create(CONFIG_MAP, "theirs", wanted)
    assert server.get(path("configmaps", namespace, "theirs"))["data"] == {"a": "1"}
    config = {"kubeconfig": sandbox.kubernetes.kubeconfig, "upsertExistingObjects": True}
    with plugin_process("kubernetes", config) as upserting:
        upserting.create(CONFIG_MAP, "theirs", wanted)
    assert server.get(path("configmaps", namespace, "theirs"))["data"] == {"a": "1", "b": "2"}


def test_two_creates_of_one_name_at_the_same_time_make_one_object(plugin: PluginProcess, namespace: str) -> None:
    outcomes: list[str] = []

    def create(number: int) -> None:
        try:
            made = plugin.create(CONFIG_MAP, f"race-{number}", config_map(namespace, "race", who=str(number)))
            outcomes.append(made.outputs["data"]["who"])
        except RefusedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("refused") == len(threads) - 1


def test_a_hand_made_object_is_imported_without_touching_it(
    plugin: PluginProcess, server: Client, namespace: str
) -> None:
    by_hand = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment(namespace, "by-hand")}
    root = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    server.request("POST", root, {"fieldManager": "kubectl-create"}, by_hand)
    found = refreshed(plugin, Resource(plugin.urn(DEPLOYMENT, "by-hand"), f"{namespace}/by-hand"))
    assert "status" not in found.inputs
    assert "uid" not in found.inputs["metadata"]
    before = server.get(f"{root}/by-hand")["metadata"]["managedFields"]
    wanted = deployment(namespace, "by-hand")
    wanted["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    assert changes(plugin, found, wanted) == []
    assert changes(plugin, found, deployment(namespace, "by-hand", replicas=2)) == ["spec.replicas"]
    managers = [entry["manager"] for entry in server.get(f"{root}/by-hand")["metadata"]["managedFields"]]
    assert {entry["manager"] for entry in before} <= set(managers)
    assert not [manager for manager in managers if manager.startswith("pulumi")]


def test_a_hand_made_secret_is_imported_as_a_program_writes_it(
    plugin: PluginProcess, server: Client, namespace: str
) -> None:
    """The server keeps ``data``, a program gives ``stringData``: the same values are no difference."""
    by_hand = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "by-hand"},
        "stringData": {"a": "1", "b": "2"},
    }
    server.request("POST", f"/api/v1/namespaces/{namespace}/secrets", {"fieldManager": "kubectl-create"}, by_hand)
    found = refreshed(plugin, Resource(plugin.urn(SECRET, "by-hand"), f"{namespace}/by-hand"))
    wanted: Object = {"metadata": {"namespace": namespace, "name": "by-hand"}, "stringData": {"a": "1", "b": "2"}}
    assert changes(plugin, found, wanted) == []
    assert changes(plugin, found, {**wanted, "stringData": {"a": "1", "b": "3"}}) == ["stringData.b"]
    assert (
        changes(plugin, found, {"metadata": wanted["metadata"], "data": {"a": "MQ=="}, "stringData": {"b": "2"}}) == []
    )


def test_what_a_killed_run_made_is_known_again(plugin: PluginProcess, namespace: str) -> None:
    wanted: Object = {"metadata": {"namespace": namespace, "name": "killed"}, "stringData": {"a": "1"}}
    plugin.create(SECRET, "killed", wanted)
    # The state was never written: the engine knows the URN and the id alone.
    found = refreshed(plugin, Resource(plugin.urn(SECRET, "killed"), f"{namespace}/killed"))
    assert changes(plugin, found, wanted) == []
    assert changes(plugin, found, {**wanted, "immutable": True}) == ["immutable"]
