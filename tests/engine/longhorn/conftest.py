"""The sandbox's cluster with Longhorn's kinds, a Longhorn with bad manners, and the official client."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from components.longhorn.flow.interfaces import ClusterError, Document, Ref
from components.longhorn.flow.kubernetes_cluster import KubernetesCluster
from components.longhorn.flow.opening import open_cluster
from sandbox.endpoints import Endpoints
from tests.support.fake_longhorn import NAMESPACE
from tests.support.waiting import until

HERE = Path(__file__).parent
READ_ONLY = ("Replica", "Engine", "Node", "RecurringJob", "BackupTarget", "BackupVolume", "Backup", "Orphan")


def definitions() -> Iterator[Document]:
    """Longhorn's kinds: those that the flow writes with a schema, the others open."""
    yield from yaml.safe_load_all((HERE / "definitions.yaml").read_text())
    for kind in READ_ONLY:
        singular = kind.lower()
        names = {"kind": kind, "listKind": f"{kind}List", "plural": f"{singular}s", "singular": singular}
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version = {"name": "v1beta2", "served": True, "storage": True, "schema": schema}
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{singular}s.longhorn.io"},
            "spec": {"group": "longhorn.io", "scope": "Namespaced", "names": names, "versions": [version]},
        }


@pytest.fixture(scope="package")
def cluster(sandbox: Endpoints) -> Iterator[KubernetesCluster]:
    """The API server with Longhorn's kinds and its managers; both go again."""
    opened = open_cluster(sandbox.kubernetes.kubeconfig)
    assert isinstance(opened, KubernetesCluster)
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = list(definitions())
    for definition in made:
        opened._ask("POST", path, {}, definition)
    try:
        for definition in made:
            plural = definition["metadata"]["name"].partition(".")[0]
            until(partial(_served, opened, plural))
        _install(opened)
        yield opened
    finally:
        opened.delete(Ref("CSIDriver", "driver.longhorn.io"))
        opened.delete(Ref("Namespace", NAMESPACE))
        until(lambda: opened.get(Ref("Namespace", NAMESPACE)) is None, 60)
        for definition in made:
            opened._ask("DELETE", f"{path}/{definition['metadata']['name']}", {}, {})


def _served(opened: KubernetesCluster, plural: str) -> bool:
    try:
        opened._ask("GET", f"/apis/longhorn.io/v1beta2/{plural}")
    except ClusterError:
        return False
    return True


def _install(opened: KubernetesCluster) -> None:
    opened.create(
        Ref("Namespace", NAMESPACE), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    )
    driver = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": "driver.longhorn.io"},
        "spec": {"attachRequired": False},
    }
    opened.create(Ref("CSIDriver", "driver.longhorn.io"), driver)
    until(lambda: opened._ask("GET", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts")["items"])
    for node in ("node1", "node2", "node3"):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"longhorn-manager-{node}",
                "namespace": NAMESPACE,
                "labels": {"app": "longhorn-manager"},
            },
            "spec": {"nodeName": node, "containers": [{"name": "manager", "image": "registry.example.test/manager:1"}]},
        }
        opened.create(Ref("Pod", f"longhorn-manager-{node}", NAMESPACE), pod)

    def ready() -> bool:
        pods = opened.list("Pod", NAMESPACE, "app=longhorn-manager")
        return all(
            any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))
            for pod in pods
        )

    until(ready)
