"""The kubernetes plugin under the real engine, with the official SDK's classes."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.endpoints import Endpoints
from tests.support.kubernetes_objects import deployment, path
from tests.support.plugin_program import Program
from toolchain.paths import ROOT
from toolchain.plugins.kubernetes.client import MERGE, Client, Object

pytestmark = pytest.mark.engine

CANARY = "canary-5f1c9a"

SOURCE = ROOT / "tests" / "fixtures" / "plugins_kubernetes" / "program" / "__main__.py"


@pytest.fixture(scope="module")
def place() -> str:
    return f"engine-{time.time_ns():x}"[:30]


@pytest.fixture(scope="module")
def program(
    tmp_path_factory: pytest.TempPathFactory, sandbox: Endpoints, server: Client, place: str
) -> Iterator[Program]:
    folder: Path = tmp_path_factory.mktemp("program") / "p"
    program = Program.write(folder, SOURCE.read_text("utf-8"))
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(0o600)
    kubeconfig.write_text(sandbox.kubernetes.kubeconfig)
    program.up(namespace=place, secret=CANARY)
    yield program
    program.run("destroy", "--yes", "--skip-preview", values={"namespace": place, "secret": CANARY})
    assert server.find(f"/api/v1/namespaces/{place}") is None


@pytest.fixture
def restored(program: Program, place: str) -> Iterator[None]:
    """Leave a cluster which is as the program says."""
    yield
    program.up(namespace=place, secret=CANARY)


def test_a_second_preview_is_empty(program: Program, server: Client, place: str) -> None:
    program.unchanged(namespace=place, secret=CANARY)
    assert program.outputs()["address"].startswith("10.")
    assert server.get(path("deployments", place, "web"))["status"]["availableReplicas"] == 1


@pytest.mark.usefixtures("restored")
def test_a_changed_field_is_an_update_and_a_changed_generated_name_a_replacement(
    program: Program, server: Client, place: str
) -> None:
    before = program.outputs()["settings"]
    changed = {"namespace": place, "secret": CANARY, "replicas": 2, "a": "2"}
    steps = program.steps(**changed)
    assert steps["web"] == ["update", "spec.replicas"]
    assert steps["settings"][0] == "replace"
    assert steps.keys() == {"web", "settings"}
    program.up(**changed)
    program.unchanged(**changed)
    assert server.get(path("deployments", place, "web"))["status"]["availableReplicas"] == 2
    after = program.outputs()["settings"]
    assert after != before
    assert server.find(path("configmaps", place, before)) is None
    assert server.get(path("configmaps", place, after))["data"] == {"a": "2"}


def test_edited_and_deleted_objects_show_and_are_repaired(program: Program, server: Client, place: str) -> None:
    edit: Object = {"spec": {"replicas": 3}, "metadata": {"annotations": {"example.test/theirs": "kept"}}}
    server.request("PATCH", path("deployments", place, "web"), body=edit, content_type=MERGE)
    server.request("PATCH", path("secrets", place, "web"), body={"data": {"password": "eA=="}}, content_type=MERGE)
    server.request("DELETE", path("services", place, "web"))
    assert program.steps(namespace=place, secret=CANARY) == {
        "web": ["update", "spec.replicas"],
        "secret": ["update", "stringData.password"],
        "service": ["create"],
    }
    program.up(namespace=place, secret=CANARY)
    program.unchanged(namespace=place, secret=CANARY)
    live = server.get(path("deployments", place, "web"))
    assert live["spec"]["replicas"] == 1
    assert live["metadata"]["annotations"]["example.test/theirs"] == "kept"
    data = server.get(path("secrets", place, "web"))["data"]
    assert base64.b64decode(data["password"]).decode() == CANARY


def test_a_misspelt_field_of_a_custom_resource_fails_the_preview(program: Program, server: Client, place: str) -> None:
    group = f"{place}.example.test"
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "things", "kind": "Thing"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    values = {"namespace": place, "secret": CANARY, "group": group}
    try:
        printed = program.run("preview", check=False, values=values | {"thing": {"size": 1}})
        assert f"kubernetes:{group}/v1:Thing: " in printed
        assert "Install it first" in printed
        server.request("POST", root, body=definition)
        while server.find(f"/apis/{group}/v1") is None:
            time.sleep(0.1)
        assert program.steps(**values, thing={"size": 1}) == {"thing": ["create"]}
        printed = program.run("preview", check=False, values=values | {"thing": {"sise": 1}})
        assert ".spec.sise: field not declared in schema" in printed
        assert "Traceback" not in printed
    finally:
        server.request("DELETE", f"{root}/things.{group}")


def test_a_secret_value_is_nowhere_in_the_state(program: Program) -> None:
    state = program.state()
    assert CANARY not in state
    for shift in range(3):
        encoded = base64.b64encode(b" " * shift + CANARY.encode()).decode()
        assert encoded[4:-4] not in state


def test_an_object_made_by_hand_is_imported(program: Program, server: Client, place: str) -> None:
    wanted = deployment(place, "by-hand")
    root = f"/apis/apps/v1/namespaces/{place}/deployments"
    server.request("POST", root, body={"apiVersion": "apps/v1", "kind": "Deployment", **wanted})
    before = server.get(f"{root}/by-hand")
    values = {"namespace": place, "secret": CANARY, "import": "by-hand", "imported": wanted}
    assert program.steps(**values) == {"imported": ["import"]}
    program.up(**values)
    after = server.get(f"{root}/by-hand")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    changed = {**wanted, "spec": {**wanted["spec"], "replicas": 2}}
    assert program.steps(**values | {"imported": changed}) == {"imported": ["update", "spec.replicas"]}
