"""The custom resource definitions are structural, strict, and only as free as upstream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.backends import objects

DEFINITIONS = {definition["metadata"]["name"]: definition for definition in objects.definitions()}

# What the stacks use, as its public API is named upstream.
EXPECTED = {
    "applications.argoproj.io": ("Application", "v1alpha1"),
    "appprojects.argoproj.io": ("AppProject", "v1alpha1"),
    "vaultconnections.secrets.hashicorp.com": ("VaultConnection", "v1beta1"),
    "vaultauths.secrets.hashicorp.com": ("VaultAuth", "v1beta1"),
    "vaultdynamicsecrets.secrets.hashicorp.com": ("VaultDynamicSecret", "v1beta1"),
    "vaultstaticsecrets.secrets.hashicorp.com": ("VaultStaticSecret", "v1beta1"),
    "ingressroutes.traefik.io": ("IngressRoute", "v1alpha1"),
    "middlewares.traefik.io": ("Middleware", "v1alpha1"),
}
# Free upstream as well: the values of any chart, the settings of any plugin.
FREE = {
    "applications.argoproj.io": {"helm.valuesObject"},
    "middlewares.traefik.io": {"plugin.*"},
}


def nodes(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, (*path, name))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], (*path, "*"))
    if "items" in schema:
        yield from nodes(schema["items"], (*path, "[]"))


def schema_of(definition: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def test_exactly_the_expected_kinds_are_defined() -> None:
    found = {
        name: (definition["spec"]["names"]["kind"], definition["spec"]["versions"][0]["name"])
        for name, definition in DEFINITIONS.items()
    }
    assert found == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_the_names_belong_together(name: str) -> None:
    spec = DEFINITIONS[name]["spec"]
    names = spec["names"]
    assert name == f"{names['plural']}.{spec['group']}"
    assert (names["singular"], names["listKind"]) == (names["kind"].lower(), f"{names['kind']}List")
    assert spec["scope"] == "Namespaced"
    assert [(version["served"], version["storage"]) for version in spec["versions"]] == [(True, True)]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_node_has_a_type_and_only_upstreams_free_places_are_free(name: str) -> None:
    free = set()
    for path, node in nodes(schema_of(DEFINITIONS[name])):
        if node.get("x-kubernetes-preserve-unknown-fields"):
            free.add(".".join(path[-2:]))
            continue
        assert node.get("type") or node.get("x-kubernetes-int-or-string"), path
        if node.get("type") == "object" and path != ("metadata",):
            assert node.get("properties") or node.get("additionalProperties"), path
        if node.get("type") == "array":
            assert "items" in node, path
        assert set(node.get("required", ())) <= set(node.get("properties", {})), path
    assert free == FREE.get(name, set())


@pytest.mark.parametrize("name", EXPECTED)
def test_the_schemas_carry_no_upstream_text(name: str) -> None:
    assert [path for path, node in nodes(schema_of(DEFINITIONS[name])) if "description" in node] == []


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}, "/api/v1/nodes/n"),
        (
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "tools"}},
            "/api/v1/namespaces/tools/secrets/s",
        ),
        (
            {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"}},
            "/apis/storage.k8s.io/v1/storageclasses/c",
        ),
    ],
)
def test_the_address_of_an_object_follows_from_it(document: dict[str, Any], path: str) -> None:
    assert objects.path_of(document) == path


def test_the_cluster_has_three_machines_and_the_shared_namespaces() -> None:
    names = {(item["kind"], item["metadata"]["name"]) for item in objects.cluster_objects()}
    assert names >= {("Node", "node1"), ("Node", "node2"), ("Node", "node3")}
    assert names >= {("Namespace", "argocd"), ("Namespace", "tools")}
