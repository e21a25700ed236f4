"""The kubernetes plugin on the sandbox's API server, and somebody else who uses the same cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sandbox.endpoints import Endpoints
from tests.support.plugin_process import PluginProcess, plugin_process
from toolchain.plugins.kubernetes.client import Client
from toolchain.plugins.kubernetes.kubeconfig import access


@pytest.fixture(scope="module")
def server(sandbox: Endpoints) -> Iterator[Client]:
    """What somebody else does to the cluster."""
    client = Client(access(sandbox.kubernetes.kubeconfig))
    yield client
    client.close()


@pytest.fixture(scope="module")
def plugin(sandbox: Endpoints) -> Iterator[PluginProcess]:
    with plugin_process("kubernetes", {"kubeconfig": sandbox.kubernetes.kubeconfig}) as process:
        yield process


@pytest.fixture(scope="module")
def forcing(sandbox: Endpoints) -> Iterator[PluginProcess]:
    """A plugin which takes fields over and changes Secrets in place."""
    config = {"kubeconfig": sandbox.kubernetes.kubeconfig, "enablePatchForce": True, "enableSecretMutable": True}
    with plugin_process("kubernetes", config) as process:
        yield process


@pytest.fixture(scope="module")
def namespace(server: Client) -> Iterator[str]:
    name = f"plugin-{time.time_ns():x}"[:30]
    server.request(
        "POST", "/api/v1/namespaces", body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    yield name
    server.request("DELETE", f"/api/v1/namespaces/{name}")
