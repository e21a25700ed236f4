from __future__ import annotations

from typing import Any

import pytest

from toolchain.plugins.kit import UNKNOWN, ProviderError
from toolchain.plugins.kubernetes.provider import KubernetesProvider, KubernetesTypes

KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://k8s.example.test"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
"""


@pytest.fixture(scope="module")
def types() -> KubernetesTypes:
    return KubernetesTypes()


def test_configuration_arrives_as_json_text(types: KubernetesTypes) -> None:
    wire = {"kubeconfig": KUBECONFIG, "enablePatchForce": "true", "kubeClientSettings": '{"qps": 5, "timeout": 3}'}
    config = types.parse_config(wire)
    assert config["enablePatchForce"] is True
    assert types.config(config) == []
    assert KubernetesProvider().check_config(config) == []
    backend = KubernetesProvider().configure(config)
    assert backend.handler("kubernetes:core/v1:Secret") is backend.handler("kubernetes:apps/v1:Deployment")


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no kubeconfig": ({}, "no default one is used"),
    "unusable kubeconfig": ({"kubeconfig": "- x\n"}, "is not a mapping"),
    "unknown context": ({"kubeconfig": KUBECONFIG, "context": "d"}, "has no context 'd'; it has 'c'"),
    "unknown cluster": ({"kubeconfig": KUBECONFIG, "cluster": "d"}, "has no cluster 'd'; it has 'c'"),
    "client-side apply": ({"kubeconfig": KUBECONFIG, "enableServerSideApply": False}, "always applies on the server"),
    "skipping": ({"kubeconfig": KUBECONFIG, "skipUpdateUnreachable": True}, "cannot check inputs without the cluster"),
    "render mode": ({"kubeconfig": KUBECONFIG, "renderYamlToDirectory": "x"}, "has no render mode"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused(mistake: str) -> None:
    config, reason = MISTAKES[mistake]
    failures = KubernetesProvider().check_config(config)
    assert [reason in failure.reason for failure in failures] == [True]


def test_a_kubeconfig_which_is_not_known_yet_is_not_judged() -> None:
    assert KubernetesProvider().check_config({"kubeconfig": UNKNOWN}) == []


def test_the_sdk_knows_built_in_kinds_and_leaves_custom_ones_open(types: KubernetesTypes) -> None:
    container = {"name": "a", "imag": "x"}
    wrong: dict[str, Any] = {"spec": {"selector": {}, "template": {"spec": {"containers": [container]}}}}
    assert [failure.path for failure in types.resource("kubernetes:apps/v1:Deployment", wrong)] == [
        "spec.template.spec.containers[0].imag"
    ]
    token = "kubernetes:argoproj.io/v1alpha1:Application"
    custom = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": {"any": [1]}}
    assert types.resource(token, custom) == []
    wrong = custom | {"metadata": {"nam": "x"}, "sepc": {}}
    assert [failure.path for failure in types.resource(token, wrong)] == ["metadata.nam", "sepc"]


def test_what_is_not_served_is_named(types: KubernetesTypes) -> None:
    for token in ("kubernetes:apps/v1:Deploymnt", "kubernetes:apps/v1:DeploymentPatch", "kubernetes:core/v1:PodList"):
        assert token in types.resource(token, {})[0].reason
    with pytest.raises(ProviderError, match=r"kubernetes:helm\.sh/v3:Release is not an object"):
        types.resource("kubernetes:helm.sh/v3:Release", {})
