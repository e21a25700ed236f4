"""What is refused, before anything has changed and with a reason."""

from __future__ import annotations

import time

import pytest

from sandbox.endpoints import Endpoints
from tests.support.kubernetes_objects import CONFIG_MAP, DEPLOYMENT, NAMESPACE, config_map, deployment
from tests.support.plugin_process import CheckFailedError, PluginProcess, RefusedError, Resource, plugin_process
from toolchain.plugins.kit import UNKNOWN

pytestmark = pytest.mark.engine


def test_a_preview_refuses_what_the_server_would_refuse(plugin: PluginProcess, namespace: str) -> None:
    wrong = deployment(namespace, "typo")
    wrong["spec"]["template"]["spec"]["containers"][0]["imag"] = "x"
    with pytest.raises(CheckFailedError, match="did you mean image"):
        plugin.create(DEPLOYMENT, "typo", wrong, preview=True)
    for place in (namespace, "not-there-yet"):
        with pytest.raises(RefusedError, match="Invalid value"):
            plugin.create(CONFIG_MAP, "bad", config_map(place, "bad", **{"no spaces": "1"}), preview=True)
        made = plugin.create(CONFIG_MAP, "good", config_map(place, "good", a="1"), preview=True)
        assert made.outputs["metadata"]["uid"] is UNKNOWN
        assert made.outputs["data"] == {"a": "1"}
    assert plugin.read(Resource(plugin.urn(CONFIG_MAP, "good"), f"{namespace}/good")) is None


def test_a_preview_with_unknown_values_asks_nothing_of_the_server(plugin: PluginProcess, namespace: str) -> None:
    wanted = config_map(namespace, "later")
    wanted["data"] = {"a": UNKNOWN}
    made = plugin.create(CONFIG_MAP, "later", wanted, preview=True)
    assert made.outputs["data"]["a"] is UNKNOWN
    with_unknown_metadata = plugin.create(CONFIG_MAP, "later", {"metadata": UNKNOWN, "data": {}}, preview=True)
    assert with_unknown_metadata.outputs["metadata"] is UNKNOWN
    annotated = config_map(namespace, "later", a="1")
    annotated["metadata"]["annotations"] = UNKNOWN
    assert plugin.create(CONFIG_MAP, "later", annotated, preview=True).outputs["data"] == {"a": "1"}


def test_components_and_patches_are_refused_by_name(plugin: PluginProcess) -> None:
    for token in ("kubernetes:helm.sh/v3:Release", "kubernetes:yaml:ConfigGroup", "kubernetes:kustomize:Directory"):
        with pytest.raises(RefusedError, match="plain objects only"):
            plugin.check(token, "x", {})
    with pytest.raises(CheckFailedError, match="no Patch and List"):
        plugin.check("kubernetes:core/v1:ConfigMapPatch", "x", {})
    with pytest.raises(CheckFailedError, match="did you mean kubernetes:apps/v1:Deployment"):
        plugin.check("kubernetes:apps/v1:Deploymnt", "x", {})
    with pytest.raises(CheckFailedError, match="cluster-wide"):
        plugin.check(NAMESPACE, "x", {"metadata": {"name": "x", "namespace": "y"}})


def test_an_unreachable_server_is_named_within_seconds(sandbox: Endpoints) -> None:
    nowhere = sandbox.kubernetes.kubeconfig.replace(sandbox.kubernetes.server, "https://127.0.0.1:1")
    with plugin_process("kubernetes", {"kubeconfig": nowhere}) as plugin:
        start = time.monotonic()
        for _ in range(20):
            with pytest.raises(RefusedError, match=r"https://127.0.0.1:1 .* cannot be reached: .*refused"):
                plugin.create(CONFIG_MAP, "x", config_map("default", "x"), preview=True)
        assert time.monotonic() - start < 100
    config = {"kubeconfig": nowhere, "deleteUnreachable": True}
    with plugin_process("kubernetes", config) as plugin:
        gone = Resource(plugin.urn(CONFIG_MAP, "x"), "default/x", config_map("default", "x"), {"kind": "ConfigMap"})
        assert plugin.read(gone) is None
        plugin.delete(gone)


def test_credentials_which_the_server_does_not_accept_are_said_so(sandbox: Endpoints) -> None:
    clusters = sandbox.kubernetes.kubeconfig.split("users:")[0]
    user = "users: [{name: u, user: {token: wrong}}]\n"
    context = f"contexts: [{{name: c, context: {{cluster: {sandbox.kubernetes.context}, user: u}}}}]\n"
    with (
        plugin_process("kubernetes", {"kubeconfig": clusters + user + context + "current-context: c\n"}) as plugin,
        pytest.raises(RefusedError, match="does not accept the credentials") as refused,
    ):
        plugin.create(CONFIG_MAP, "x", config_map("default", "x"))
    assert "wrong" not in str(refused.value)


def test_configuration_is_refused_before_anything_happens(sandbox: Endpoints) -> None:
    kubeconfig = sandbox.kubernetes.kubeconfig
    bad: dict[str, dict[str, object]] = {
        "kubeconfig": {},
        "no context 'nope'": {"kubeconfig": kubeconfig, "context": "nope"},
        "always applies on the server": {"kubeconfig": kubeconfig, "enableServerSideApply": False},
        "no render mode": {"kubeconfig": kubeconfig, "renderYamlToDirectory": "/tmp/x"},
        "has no property kubeconfg": {"kubeconfig": kubeconfig, "kubeconfg": "x"},
    }
    for message, config in bad.items():
        with pytest.raises(CheckFailedError, match=message), plugin_process("kubernetes", config):
            pass
