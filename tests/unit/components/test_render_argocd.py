"""ARGO-03 to ARGO-26."""

from __future__ import annotations

from typing import Any

import pytest

from components.app_stack import App
from components.app_stack.render_argocd import WORKLOAD_KINDS, app_project, application
from tests.support import site


def app(name: str = "webapp", **overrides: Any) -> App:
    return App.of(name, site.application(**({"delivery": "argocd", "image": {}} | overrides)), site.platform())


def test_application() -> None:
    assert application(app()) == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "webapp", "namespace": "argocd"},  # ARGO-03
        "spec": {
            "project": "webapp",
            "source": {
                "repoURL": "https://forge.example.test/example-org/webapp",  # ARGO-04
                "targetRevision": "HEAD",  # ARGO-05
                "path": "chart",
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "webapp"},  # ARGO-06
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},  # ARGO-07
                "syncOptions": ["CreateNamespace=true", "RespectIgnoreDifferences=true"],
                "retry": {"limit": 5, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "3m"}},
            },
        },
    }


def test_project() -> None:  # ARGO-24
    assert app_project(app())["spec"] == {
        "description": "webapp: one repository, one namespace",
        "sourceRepos": ["https://forge.example.test/example-org/webapp"],
        "destinations": [{"server": "https://kubernetes.default.svc", "namespace": "webapp"}],
        "clusterResourceWhitelist": [],
        "namespaceResourceWhitelist": [{"group": group, "kind": kind} for group, kind in WORKLOAD_KINDS],
    }


def test_options_are_merged_by_name_never_doubled() -> None:  # ARGO-22
    policy = {"sync_options": ["CreateNamespace=false", "ServerSideApply=true"]}
    options = application(app(argo={"sync_policy": policy}))["spec"]["syncPolicy"]["syncOptions"]
    assert options == ["CreateNamespace=false", "RespectIgnoreDifferences=true", "ServerSideApply=true"]


@pytest.mark.parametrize("argo", [{"maintenance": True}, {"sync_policy": {"automated": None}}])
def test_automated_sync_can_be_suspended(argo: dict[str, Any]) -> None:  # ARGO-08, ARGO-26
    assert "automated" not in application(app(argo=argo))["spec"]["syncPolicy"]


def test_maintenance_leaves_replicas_to_the_person() -> None:  # ARGO-26, APPG-G02
    spec = application(app(argo={"maintenance": True}))["spec"]
    assert spec["ignoreDifferences"] == [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]


def test_an_autoscaler_keeps_the_replicas_it_chose() -> None:  # ARGO-25
    spec = application(app(workload={"autoscaling": {"max_replicas": 2}}))["spec"]
    assert spec["ignoreDifferences"] == [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
    assert "ignoreDifferences" not in application(app())["spec"]


def test_image_updater() -> None:  # ARGO-09
    metadata = application(app(image={"auto_update": True}, argo={"annotations": {"note": "mine"}}))["metadata"]
    assert metadata["annotations"] == {
        "argocd-image-updater.argoproj.io/image-list": "webapp=registry.example.test/example-org/webapp:latest",
        "argocd-image-updater.argoproj.io/webapp.update-strategy": "digest",
        "note": "mine",
    }
    assert "annotations" not in application(app())["metadata"]


def test_deletion_cascades_only_where_declared() -> None:  # ARGO-25
    assert "finalizers" not in application(app())["metadata"]
    cascading = application(app(argo={"cascade": True}))["metadata"]
    assert cascading["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]


def test_a_sandbox_may_follow_its_own_branch() -> None:  # SBX-07
    source = application(app(argo={"target_revision": "sandbox"}))["spec"]["source"]
    assert source["targetRevision"] == "sandbox"


def test_the_platforms_own_application_is_confined_to_its_namespace_only() -> None:  # NAME-34
    tools = {"mode": "application-only", "platform_application": True, "database": {}, "vault": {}, "exposure": []}
    spec = app_project(app("tools", **tools))["spec"]
    assert spec["destinations"] == [{"server": "https://kubernetes.default.svc", "namespace": "tools"}]
    assert spec["clusterResourceWhitelist"] == [{"group": "*", "kind": "*"}]
