from __future__ import annotations

import pytest

from toolchain.plugins.kit import UNKNOWN, Change, Properties
from toolchain.plugins.kubernetes.discovery import Kind
from toolchain.plugins.kubernetes.manifest import AUTONAMED
from toolchain.plugins.kubernetes.replacement import Mutability, difference

FIXED = Mutability()
MUTABLE = Mutability(secrets=True, config_maps=True)

# kind, old, new, paths which differ, paths which need a new object
CASES: dict[str, tuple[Kind, Properties, Properties, list[str], list[str]]] = {
    "image of a Deployment": (
        Kind("apps", "v1", "Deployment"),
        {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "i:1"}]}}}},
        {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "i:2"}]}}}},
        ["spec.template.spec.containers[0].image"],
        [],
    ),
    "selector of a Deployment": (
        Kind("apps", "v1", "Deployment"),
        {"spec": {"selector": {"matchLabels": {"app": "a"}}}},
        {"spec": {"selector": {"matchLabels": {"app": "b"}}}},
        ["spec.selector.matchLabels.app"],
        ["spec.selector.matchLabels.app"],
    ),
    "whole spec of a Deployment": (Kind("apps", "v1", "Deployment"), {}, {"spec": {}}, ["spec"], ["spec"]),
    "claim templates of a StatefulSet": (
        Kind("apps", "v1", "StatefulSet"),
        {"spec": {"volumeClaimTemplates": []}},
        {"spec": {"volumeClaimTemplates": [{}]}},
        ["spec.volumeClaimTemplates[0]"],
        ["spec.volumeClaimTemplates[0]"],
    ),
    "template of a Job": (
        Kind("batch", "v1", "Job"),
        {"spec": {"template": {"spec": {"x": 1}}, "ttlSecondsAfterFinished": 1}},
        {"spec": {"template": {"spec": {"x": 2}}, "ttlSecondsAfterFinished": 2}},
        ["spec.template.spec.x", "spec.ttlSecondsAfterFinished"],
        ["spec.template.spec.x"],
    ),
    "size of a claim grows in place": (
        Kind("", "v1", "PersistentVolumeClaim"),
        {"spec": {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "a"}},
        {"spec": {"resources": {"requests": {"storage": "2Gi"}}, "storageClassName": "b"}},
        ["spec.resources.requests.storage", "spec.storageClassName"],
        ["spec.storageClassName"],
    ),
    "backing of a volume": (
        Kind("", "v1", "PersistentVolume"),
        {"spec": {"hostPath": {"path": "/a"}, "capacity": {"storage": "1Gi"}}},
        {"spec": {"hostPath": {"path": "/b"}, "capacity": {"storage": "2Gi"}}},
        ["spec.capacity.storage", "spec.hostPath.path"],
        ["spec.hostPath.path"],
    ),
    "pod": (
        Kind("", "v1", "Pod"),
        {"spec": {"containers": [{"image": "a"}], "tolerations": []}},
        {"spec": {"containers": [{"image": "b"}], "tolerations": [{}]}},
        ["spec.containers[0].image", "spec.tolerations[0]"],
        ["spec.containers[0].image"],
    ),
    "address of a Service": (
        Kind("", "v1", "Service"),
        {"spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}},
        {"spec": {"clusterIP": "None", "ports": [{"port": 81}]}},
        ["spec.clusterIP", "spec.ports[0].port"],
        ["spec.clusterIP"],
    ),
    "role of a binding": (
        Kind("rbac.authorization.k8s.io", "v1", "RoleBinding"),
        {"roleRef": {"name": "a"}, "subjects": []},
        {"roleRef": {"name": "b"}, "subjects": [{}]},
        ["roleRef.name", "subjects[0]"],
        ["roleRef.name"],
    ),
    "name and labels of a custom resource": (
        Kind("example.test", "v1", "Widget"),
        {"metadata": {"name": "a", "labels": {"x/y": "1"}}},
        {"metadata": {"name": "b", "labels": {"x/y": "2"}}},
        ['metadata.labels["x/y"]', "metadata.name"],
        ["metadata.name"],
    ),
    "unknown name": (
        Kind("example.test", "v1", "Widget"),
        {"metadata": {"name": "a"}},
        {"metadata": {"name": UNKNOWN}},
        ["metadata.name"],
        ["metadata.name"],
    ),
    "another version of the same object": (
        Kind("autoscaling", "v2", "HorizontalPodAutoscaler"),
        {"apiVersion": "autoscaling/v1"},
        {"apiVersion": "autoscaling/v2"},
        ["apiVersion"],
        [],
    ),
    "an object of another group": (
        Kind("example.test", "v1", "Widget"),
        {"apiVersion": "other.test/v1"},
        {"apiVersion": "example.test/v1"},
        ["apiVersion"],
        ["apiVersion"],
    ),
    "nothing": (Kind("apps", "v1", "Deployment"), {"spec": {"replicas": 1}}, {"spec": {"replicas": 1.0}}, [], []),
}


@pytest.mark.parametrize("case", CASES)
def test_what_differs_and_what_needs_a_new_object(case: str) -> None:
    kind, old, new, differing, replacing = CASES[case]
    found = difference(kind, old, new, FIXED)
    assert list(found.detailed) == differing
    assert list(found.replaces) == replacing


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_data_is_replaced_unless_it_may_change_in_place(kind: str) -> None:
    of = Kind("", "v1", kind)
    old, new = {"data": {"a": "1"}, "metadata": {}}, {"data": {"a": "2"}, "metadata": {"labels": {"b": "c"}}}
    assert list(difference(of, old, new, FIXED).replaces) == ["data.a"]
    assert list(difference(of, old, new, MUTABLE).replaces) == []
    assert list(difference(of, old | {"immutable": True}, new, MUTABLE).replaces) == ["data.a", "immutable"]
    assert list(difference(of, old, old | {"metadata": {"labels": {}}}, FIXED).replaces) == []


def test_the_old_object_goes_first_only_if_the_new_one_needs_its_name() -> None:
    kind = Kind("", "v1", "ConfigMap")

    def goes_first(old: Properties, new: Properties) -> bool:
        return difference(
            kind, {"metadata": old, "data": {"a": "1"}}, {"metadata": new, "data": {}}, FIXED
        ).delete_before_replace

    named = {"name": "a", "namespace": "b"}
    assert goes_first(named, named)
    assert not goes_first(named, named | {"name": "c"})
    assert not goes_first(named, named | {"namespace": "c"})
    generated = named | {"annotations": {AUTONAMED: "true"}}
    assert not goes_first(generated, generated)
    assert not difference(kind, {"metadata": named}, {"metadata": named}, FIXED).delete_before_replace


def test_every_kind_of_change_is_told() -> None:
    found = difference(Kind("example.test", "v1", "W"), {"a": 1, "b": 1}, {"b": 2, "c": 3}, FIXED)
    assert found.detailed == {"a": Change.DELETE, "b": Change.UPDATE, "c": Change.ADD}
