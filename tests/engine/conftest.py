"""One started sandbox for all engine tests of a session, on a state directory of its own, stopped at the end."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from sandbox.endpoints import Endpoints
from sandbox.supervisor import Sandbox


@pytest.fixture(scope="session")
def sandbox_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state directory of the shared sandbox; child processes find it by FACTORY_STATE."""
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTORY_STATE", str(state))
        yield state


@pytest.fixture(scope="session")
def sandbox(sandbox_state: Path) -> Iterator[Endpoints]:
    """The shared sandbox, started."""
    box = Sandbox(sandbox_state)
    try:
        yield box.start(print)
    finally:
        box.stop(print)


@pytest.fixture(scope="session")
def kube(sandbox: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The administrator's client of the API server."""
    with kube_client(sandbox, tmp_path_factory.mktemp("keys")) as client:
        yield client


@pytest.fixture(scope="session")
def vault(sandbox: Endpoints) -> Iterator[httpx.Client]:
    """The root token's client of Vault; paths are relative to /v1/."""
    context = ssl.create_default_context(cadata=sandbox.vault.ca_cert_pem)
    headers = {"X-Vault-Token": sandbox.vault.root_token}
    with httpx.Client(base_url=f"{sandbox.vault.address}/v1/", verify=context, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def reviewer_token(kube: httpx.Client) -> str:
    """A token that may call TokenReview and nothing else, as a Vault outside the cluster has one."""
    name = "engine-tests-reviewer"
    kube.post("/api/v1/namespaces/tools/serviceaccounts", json={"metadata": {"name": name}}).raise_for_status()
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "tools"}],
    }
    kube.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json=binding).raise_for_status()
    answer = kube.post(f"/api/v1/namespaces/tools/serviceaccounts/{name}/token", json={"spec": {}}).raise_for_status()
    return str(answer.json()["status"]["token"])


def kube_client(endpoints: Endpoints, directory: Path) -> httpx.Client:
    """Return a client that logs in as the kubeconfig's user."""
    user = yaml.safe_load(endpoints.kubernetes.kubeconfig)["users"][0]["user"]
    certificate, key = directory / "client.crt", directory / "client.key"
    key.touch(mode=0o600)
    certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
    key.write_bytes(base64.b64decode(user["client-key-data"]))
    context = ssl.create_default_context(cadata=endpoints.kubernetes.ca_cert_pem)
    context.load_cert_chain(certificate, key)
    return httpx.Client(base_url=endpoints.kubernetes.server, verify=context, timeout=20)
