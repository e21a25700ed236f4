from __future__ import annotations

import pytest

from toolchain.plugins.kit import UNKNOWN, Context, Properties
from toolchain.plugins.kubernetes.checking import complete
from toolchain.plugins.kubernetes.discovery import Kind, Resource
from toolchain.plugins.kubernetes.manifest import AUTONAMED

TOKEN = "kubernetes:core/v1:ConfigMap"
CONFIG_MAP = Resource(Kind("", "v1", "ConfigMap"), "configmaps", namespaced=True)
NAMESPACE = Resource(Kind("", "v1", "Namespace"), "namespaces", namespaced=False)


def context(token: str = TOKEN) -> Context:
    return Context(token, urn=f"urn:pulumi:dev::p::{token}::settings", seed=b"\xab\xcd\xef\x12")


def completed(news: Properties, olds: Properties | None = None) -> Properties:
    inputs, failures = complete(context(), CONFIG_MAP, olds or {}, news, "tools")
    assert failures == []
    return inputs


def test_what_a_program_may_leave_out_is_filled_in() -> None:
    assert completed({"metadata": {"name": "a"}}) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "tools"},
    }
    assert completed({"metadata": {"name": "a", "namespace": "b"}})["metadata"]["namespace"] == "b"


def test_a_generated_name_is_kept_but_a_name_which_was_given_is_not() -> None:
    generated = completed({"data": {}})
    assert generated["metadata"] == {
        "name": "settings-abcdef1",
        "namespace": "tools",
        "annotations": {AUTONAMED: "true"},
    }
    generated["metadata"]["name"] = "settings-0000000"
    again = completed({"metadata": {"annotations": {"a": "b"}}}, generated)
    assert again["metadata"]["name"] == "settings-0000000"
    assert again["metadata"]["annotations"] == {"a": "b", AUTONAMED: "true"}
    assert completed({}, {"metadata": {"name": "given"}})["metadata"]["name"] == "settings-abcdef1"


def test_unknown_metadata_is_left_as_it_is() -> None:
    assert completed({"metadata": UNKNOWN})["metadata"] is UNKNOWN
    assert completed({"metadata": {"annotations": UNKNOWN}})["metadata"]["name"] is UNKNOWN
    assert completed({"metadata": {"name": UNKNOWN, "namespace": UNKNOWN}})["metadata"] == {
        "name": UNKNOWN,
        "namespace": UNKNOWN,
    }


MISTAKES: dict[str, tuple[Properties, str, str]] = {
    "kind of another": ({"kind": "Secret"}, "kind", "has the kind 'ConfigMap', not 'Secret'"),
    "apiVersion of another": ({"apiVersion": "v2"}, "apiVersion", "has the apiVersion 'v1', not 'v2'"),
    "generateName": ({"metadata": {"generateName": "x-"}}, "metadata.generateName", "a name, one is generated"),
    "timeout which is no number": (
        {"metadata": {"annotations": {"pulumi.com/timeoutSeconds": "10m"}}},
        'metadata.annotations["pulumi.com/timeoutSeconds"]',
        "'10m' is not a positive number of seconds",
    ),
    "timeout of nothing": (
        {"metadata": {"annotations": {"pulumi.com/timeoutSeconds": "0"}}},
        'metadata.annotations["pulumi.com/timeoutSeconds"]',
        "'0' is not a positive number of seconds",
    ),
    "unknown policy": (
        {"metadata": {"annotations": {"pulumi.com/deletionPropagationPolicy": "later"}}},
        'metadata.annotations["pulumi.com/deletionPropagationPolicy"]',
        "is none of background, foreground, orphan",
    ),
    "condition which cannot be read": (
        {"metadata": {"annotations": {"pulumi.com/waitFor": "[broken"}}},
        'metadata.annotations["pulumi.com/waitFor"]',
        "Expecting value",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake: str) -> None:
    news, path, reason = MISTAKES[mistake]
    _, failures = complete(context(), CONFIG_MAP, {}, news, "tools")
    assert [failure.path for failure in failures] == [path]
    assert reason in failures[0].reason


def test_a_cluster_wide_kind_has_no_namespace() -> None:
    wide = context("kubernetes:core/v1:Namespace")
    inputs, failures = complete(wide, NAMESPACE, {}, {"metadata": {"name": "a"}}, "tools")
    assert (inputs["metadata"], failures) == ({"name": "a"}, [])
    _, failures = complete(wide, NAMESPACE, {}, {"metadata": {"name": "a", "namespace": "b"}}, "tools")
    assert "a Namespace is cluster-wide" in failures[0].reason
