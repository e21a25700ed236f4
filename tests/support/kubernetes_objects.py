"""Objects which the tests of the kubernetes plugin make, and short ways to look at what it says."""

from __future__ import annotations

from tests.support.plugin_process import PluginProcess, Resource
from toolchain.plugins.kubernetes.client import Object

NAMESPACE = "kubernetes:core/v1:Namespace"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
SERVICE = "kubernetes:core/v1:Service"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"


def config_map(namespace: str, name: str, **data: str) -> Object:
    return {"metadata": {"namespace": namespace, "name": name}, "data": data}


def deployment(namespace: str, name: str, image: str = "example.test/app:1", **spec: object) -> Object:
    labels = {"app": name}
    container = {
        "name": "app",
        "image": image,
        "ports": [{"containerPort": 80}],
        # Written otherwise than the server writes it: 1000m is 1, and apiVersion is a default.
        "resources": {"limits": {"cpu": "1000m"}},
        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    full = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": full}


def path(kind: str, namespace: str, name: str) -> str:
    root = "/apis/apps/v1" if kind == "deployments" else "/api/v1"
    return f"{root}/namespaces/{namespace}/{kind}/{name}"


def changes(plugin: PluginProcess, old: Resource, inputs: Object) -> list[str]:
    return sorted(plugin.diff(old, inputs).detailedDiff)


def refreshed(plugin: PluginProcess, resource: Resource) -> Resource:
    found = plugin.read(resource)
    assert found is not None
    return found
