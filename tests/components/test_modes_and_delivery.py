"""Halves of an application (NAME-33, NAME-34), and the one writer of each workload object."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.app_stack import (
    AppDatabase,
    AppDelivery,
    AppError,
    AppNamespace,
    AppSecrets,
    AppWorkload,
)
from tests.support.mocks import Graph, build
from tests.support.site import DATABASE_ONLY, application, options, platform

PROJECT = "kubernetes:argoproj.io/v1alpha1:AppProject"


def packages(graph: Graph) -> set[str]:
    return {node.type.split(":")[0] for node in graph if node.custom} - {"pulumi"}


def objects(graph: Graph, namespace: str = "webapp") -> set[tuple[str, str]]:
    """Group and kind of everything this program writes into the application's namespace."""
    return {
        (node.get("apiVersion").rpartition("/")[0], node.get("kind"))
        for node in graph
        if node.type.startswith("kubernetes:") and node.get("metadata").get("namespace") == namespace
    }


def admitted(graph: Graph) -> set[tuple[str, str]]:
    """Group and kind of everything ArgoCD may write into it."""
    return {
        (entry["group"], entry["kind"])
        for project in graph.all(PROJECT)
        for entry in project.get("spec.namespaceResourceWhitelist")
    }


@pytest.mark.parametrize("volumes", [[], [{"name": "data", "size": "1Gi", "mount_path": "/data"}]])
@pytest.mark.parametrize("mode", ["full", "application-only"])
@pytest.mark.parametrize("delivery", ["pulumi", "argocd"])
def test_each_object_has_one_writer(stack: Any, delivery: str, mode: str, volumes: list[Any]) -> None:
    graph = stack(delivery=delivery, mode=mode, volumes=volumes)
    assert objects(graph)
    assert objects(graph) & admitted(graph) == set()
    assert bool(admitted(graph)) == (delivery == "argocd")


def test_both_deliveries_together_write_the_same_kinds(webapp: Graph, by_argocd: Graph) -> None:
    left_to_argocd = objects(webapp) - objects(by_argocd)
    assert left_to_argocd == admitted(by_argocd) - {("autoscaling", "HorizontalPodAutoscaler")}  # off by default


def test_no_object_is_written_twice(webapp: Graph, by_argocd: Graph) -> None:
    for graph in (webapp, by_argocd):
        written = [
            (node.get("apiVersion"), node.get("kind"), node.get("metadata").get("namespace"), node.get("metadata.name"))
            for node in graph
            if node.type.startswith("kubernetes:")
        ]
        assert len(written) == len(set(written))


def test_an_application_alone_needs_no_database_and_no_vault(stack: Any) -> None:  # NAME-34, APPG-30
    graph = stack("url-shortener", mode="application-only", vault={}, ci={})
    assert packages(graph) == {"kubernetes"}
    assert not any("secrets.hashicorp.com" in node.type for node in graph)
    assert set(graph.exports) == {
        "name", "repository_url", "image", "namespace", "service_account", "hosts", "vault_roles", "checks",
    }  # fmt: skip


def test_an_application_alone_may_have_secrets(stack: Any) -> None:
    graph = stack(mode="application-only")
    assert packages(graph) == {"kubernetes", "vault"}
    assert graph.all("vault:database/secretBackendRole:SecretBackendRole") == ()
    assert graph.one("kubernetes:secrets.hashicorp.com/v1beta1:VaultStaticSecret")


def test_a_database_alone(stack: Any) -> None:  # NAME-33
    reader = {"service_account_names": ["plausible"], "service_account_namespaces": ["tools"]}
    graph = stack("plausible", **DATABASE_ONLY, vault=reader)
    assert packages(graph) == {"postgresql", "pulumi-python", "vault"}
    assert graph.exports["database"] == "plausible"
    role = graph.one("vault:kubernetes/authBackendRole:AuthBackendRole")
    assert role.get("boundServiceAccountNames") == ["plausible"]
    assert role.get("boundServiceAccountNamespaces") == ["tools"]
    assert [node.get("name") for node in graph.all("vault:index/policy:Policy")] == ["plausible"]
    assert graph.all("vault:kv/secretV2:SecretV2") == ()


def test_a_database_nobody_reads_has_no_login(stack: Any) -> None:
    graph = stack("plausible", **DATABASE_ONLY, vault={})
    assert graph.all("vault:kubernetes/authBackendRole:AuthBackendRole") == ()


def test_the_platforms_own_application(stack: Any) -> None:  # NAME-34: tools
    graph = stack(
        "tools",
        mode="application-only",
        platform_application=True,
        delivery="argocd",
        image={},
        vault={},
        ci={},
        exposure=[],
    )
    assert sorted(node.type for node in graph if node.type.startswith("kubernetes:")) == [
        "kubernetes:argoproj.io/v1alpha1:AppProject",
        "kubernetes:argoproj.io/v1alpha1:Application",
    ]


def test_the_image_updater_keeps_what_it_writes(stack: Any) -> None:  # ARGO-25
    graph = stack(delivery="argocd", image={"auto_update": True})
    application_node = graph.one("kubernetes:argoproj.io/v1alpha1:Application")
    assert application_node.ignore_changes == ("spec.source.helm", "spec.source.kustomize")


def test_parts_work_alone() -> None:
    def program() -> dict[str, Any]:
        args, site, given = application(), platform(), options()
        database = AppDatabase("webapp", args, site, opts=given)
        secrets = AppSecrets(
            "webapp",
            args,
            site,
            kv_config={"API_KEY": "x"},
            editor_role="someone_edit",
            editor_password="a password",
            opts=given,
        )
        ground = AppNamespace("webapp", args, site, opts=given)
        AppWorkload("webapp", args, site, opts=given)
        AppDelivery("webapp", application(delivery="argocd", image={}), site, opts=given)
        return {"database": database.database, "role": secrets.database_role, "namespace": ground.namespace}

    graph = build(program)
    assert graph.exports == {"database": "webapp", "role": "webapp", "namespace": "webapp"}
    connection = graph.one("vault:database/secretBackendConnection:SecretBackendConnection")
    assert connection.get("postgresql.username") == "someone_edit"
    assert connection.is_secret("postgresql.password")


def test_a_workload_of_argocd_is_not_written_here() -> None:
    def program() -> None:
        AppWorkload("webapp", application(delivery="argocd", image={}), platform(), opts=options())

    with pytest.raises(AppError, match="leaves the workload to others"):
        build(program)


def test_database_users_need_an_editor() -> None:
    def program() -> None:
        AppSecrets("webapp", application(), platform(), kv_config={"API_KEY": "x"}, opts=options())

    with pytest.raises(AppError, match="PG-33"):
        build(program)


def test_a_component_waits_for_what_the_caller_says() -> None:
    def program() -> None:
        given = options()
        first = AppDelivery("other", application(delivery="argocd", image={}), platform(), opts=given)
        waiting = pulumi.ResourceOptions.merge(given, pulumi.ResourceOptions(depends_on=[first]))
        AppDatabase("webapp", application(), platform(), opts=waiting)

    graph = build(program)
    first = graph.one("kubernetes:argoproj.io/v1alpha1:Application")
    assert all(graph.waits_for(node, first) for node in graph if node.type.startswith("postgresql:"))
