"""An object made of its manifest is the resource that the official SDK's class registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.kubernetes_object import KubernetesObject
from tests.support.mocks import Node, build

OBJECTS: dict[str, tuple[dict[str, Any], Callable[[], pulumi.CustomResource]]] = {
    "core group": (
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "x"},
            "automountServiceAccountToken": False,
        },
        lambda: kubernetes.core.v1.ServiceAccount("one", metadata={"name": "x"}, automount_service_account_token=False),
    ),
    "named group": (
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x", "labels": {"app.example.test/name": "x"}},
            "spec": {
                "selector": {"matchLabels": {"app": "x"}},
                "template": {"spec": {"containers": [{"name": "x", "imagePullPolicy": "Always"}]}},
            },
        },
        lambda: kubernetes.apps.v1.Deployment(
            "one",
            metadata={"name": "x", "labels": {"app.example.test/name": "x"}},
            spec={
                "selector": {"match_labels": {"app": "x"}},
                "template": {"spec": {"containers": [{"name": "x", "image_pull_policy": "Always"}]}},
            },
        ),
    ),
    "secret": (
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "x"},
            "stringData": {"key": "value"},
            "type": "Opaque",
        },
        lambda: kubernetes.core.v1.Secret("one", metadata={"name": "x"}, string_data={"key": "value"}, type="Opaque"),
    ),
    "custom resource": (
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "x"},
            "spec": {"sourceRepos": []},
        },
        lambda: kubernetes.apiextensions.CustomResource(
            "one",
            api_version="argoproj.io/v1alpha1",
            kind="AppProject",
            metadata={"name": "x"},
            spec={"sourceRepos": []},
        ),
    ),
}


def only_node(program: Callable[[], object]) -> Node:
    """Build one resource and return it."""

    def run() -> dict[str, Any]:
        program()
        return {}

    (node,) = build(run).nodes
    return node


@pytest.mark.parametrize("case", OBJECTS)
def test_it_registers_what_the_official_class_registers(case: str) -> None:
    manifest, official = OBJECTS[case]
    ours, theirs = only_node(lambda: KubernetesObject("one", manifest, pulumi.ResourceOptions())), only_node(official)
    assert (ours.urn, ours.inputs) == (theirs.urn, theirs.inputs)
    assert sorted(ours.secret_outputs) == sorted(theirs.secret_outputs)


def test_what_waits_for_its_metadata_waits_for_the_object() -> None:
    def run() -> dict[str, Any]:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}
        namespace = KubernetesObject("space", space, pulumi.ResourceOptions()).metadata["name"]
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "y"}, "data": {"key": "value"}}
        KubernetesObject("config", config, pulumi.ResourceOptions(), namespace=namespace)
        return {}

    space, config = sorted(build(run).nodes, key=lambda node: node.type, reverse=True)
    assert config.get("metadata.namespace") == "x"
    assert config.depends_on == (space.urn,)
