"""Waiting for objects to become usable, and to be gone."""

from __future__ import annotations

import time

import pytest

from tests.support.kubernetes_objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    SERVICE,
    changes,
    config_map,
    deployment,
    path,
    refreshed,
)
from tests.support.plugin_process import CheckFailedError, PluginProcess, RefusedError
from toolchain.plugins.kubernetes.client import MERGE, Client, Object

pytestmark = pytest.mark.engine


def test_what_does_not_become_ready_keeps_its_state_and_says_why(plugin: PluginProcess, namespace: str) -> None:
    wanted = deployment(namespace, "stuck")
    wanted["spec"]["template"]["spec"]["nodeSelector"] = {"example.test/none": "such"}
    made = plugin.create(DEPLOYMENT, "stuck", wanted, timeout=2)
    assert made.identity == f"{namespace}/stuck"
    assert "0 of 1 replicas are available" in "\n".join(made.initialization_errors)
    assert "Unschedulable" in "\n".join(made.initialization_errors)
    assert made.outputs["spec"]["replicas"] == 1
    # A refresh does not forget the failure; the next update tries again.
    found = refreshed(plugin, made)
    assert "still not ready" in found.initialization_errors[0]
    assert changes(plugin, found, wanted) == []
    repaired = plugin.update(found, deployment(namespace, "stuck"), timeout=30)
    assert repaired.initialization_errors == []
    assert refreshed(plugin, repaired).initialization_errors == []


def test_annotations_say_how_to_wait(plugin: PluginProcess, namespace: str) -> None:
    wanted: Object = {
        "metadata": {"namespace": namespace, "name": "alone", "annotations": {"pulumi.com/timeoutSeconds": "1"}},
        "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 80}]},
    }
    made = plugin.create(SERVICE, "alone", wanted)
    assert made.initialization_errors == [
        f"Service {namespace}/alone is not done after 1 s: no ready pod matches its selector"
    ]
    wanted["metadata"] = {"namespace": namespace, "name": "unawaited", "annotations": {"pulumi.com/skipAwait": "true"}}
    assert plugin.create(SERVICE, "unawaited", wanted).initialization_errors == []
    wanted["metadata"]["annotations"] = {"pulumi.com/timeoutSeconds": "soon"}
    with pytest.raises(CheckFailedError, match="is not a positive number of seconds"):
        plugin.create(SERVICE, "unawaited", wanted)


def test_a_service_finds_its_pods(plugin: PluginProcess, namespace: str) -> None:
    plugin.create(DEPLOYMENT, "served", deployment(namespace, "served"))
    service = {
        "metadata": {"namespace": namespace, "name": "served"},
        "spec": {"selector": {"app": "served"}, "ports": [{"port": 80}]},
    }
    made = plugin.create(SERVICE, "served", service)
    assert made.initialization_errors == []
    assert made.outputs["spec"]["clusterIP"].startswith("10.")
    assert refreshed(plugin, made).inputs == made.inputs


def test_a_deletion_waits_until_the_object_is_gone(plugin: PluginProcess, server: Client) -> None:
    name = f"plugin-gone-{time.time_ns():x}"[:40]
    made = plugin.create(NAMESPACE, "gone", {"metadata": {"name": name}})
    held = config_map(name, "held", a="1")
    held["metadata"]["finalizers"] = ["example.test/hold"]
    kept = plugin.create(CONFIG_MAP, "held", held)
    with pytest.raises(RefusedError, match=r"still exists \(finalizers example.test/hold\)"):
        plugin.delete(kept, timeout=1)
    server.request(
        "PATCH", path("configmaps", name, "held"), body={"metadata": {"finalizers": None}}, content_type=MERGE
    )
    plugin.delete(kept)
    plugin.delete(made, timeout=60)
    assert server.find(f"/api/v1/namespaces/{name}") is None
