from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from toolchain.paths import ROOT
from toolchain.plugins.kit import ProviderError
from toolchain.plugins.kubernetes.client import Object
from toolchain.plugins.kubernetes.discovery import Kind
from toolchain.plugins.kubernetes.readiness import RULES, HopelessError, pods_of, rule_of, wait_for

FIXTURES = ROOT / "tests" / "fixtures" / "plugins_kubernetes" / "readiness"


class Cluster:
    """The other objects of a case."""

    def __init__(self, objects: list[Object]) -> None:
        self._objects = objects

    def one(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return next((item for item in self._of(kind, namespace) if item["metadata"]["name"] == name), None)

    def many(self, kind: Kind, namespace: str, labels: str) -> list[Object]:
        wanted = dict(pair.split("=") for pair in labels.split(","))
        found = self._of(kind, namespace)
        return [item for item in found if wanted.items() <= item["metadata"].get("labels", {}).items()]

    def _of(self, kind: Kind, namespace: str) -> list[Object]:
        found = [item for item in self._objects if Kind.of_object(item) == kind]
        return [item for item in found if item["metadata"].get("namespace", "") == namespace]


def cases() -> Iterator[Any]:
    for file in sorted(FIXTURES.glob("*.yaml")):
        content = yaml.safe_load(file.read_text("utf-8"))
        for group in content if isinstance(content, list) else [content]:
            identity = {key: group[key] for key in ("apiVersion", "kind")}
            for case in group["cases"]:
                yield pytest.param(case | {"object": identity | case["object"]}, id=f"{group['kind']} {case['name']}")


@pytest.mark.parametrize("case", list(cases()))
def test_an_object_is_ready_or_says_what_is_missing(case: dict[str, Any]) -> None:
    found = rule_of(case["object"])
    if found is None:
        assert "missing" not in case
        return
    cluster = Cluster(case.get("others", []))
    if "hopeless" in case:
        with pytest.raises(HopelessError) as error:
            list(found[0](case["object"], cluster))
        assert str(error.value) == case["hopeless"]
    else:
        assert list(found[0](case["object"], cluster)) == case.get("missing", [])


def test_every_rule_has_a_case_which_is_ready_and_one_which_is_not() -> None:
    given = [case.values[0] for case in cases()]
    for group, kind in RULES:
        own = [c for c in given if Kind.of_object(c["object"])[::2] == (group, kind)]
        verdicts = {bool(c.get("missing") or c.get("hopeless")) for c in own}
        assert verdicts == {True, False}, (group, kind)


UNREADABLE = ["Ready", "condition=", "jsonpath={.status[0]}=x", "delete", '["condition=A", "x"]', "[1]"]


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_condition_which_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ProviderError, match=r"pulumi.com/waitFor has .*: this local plugin reads condition="):
        wait_for(text)


def test_the_pods_of_a_workload_tell_why() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "tools", "labels": {"app": "web", "tier": "x"}},
        "status": {"conditions": [unschedulable]},
    }
    workload: Object = {"metadata": {"namespace": "tools"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}}
    assert pods_of(workload, Cluster([pod])) == ["pod web-1: Unschedulable: no node"]
    assert pods_of({"metadata": {"namespace": "tools"}, "spec": {"selector": {"app": "web"}}}, Cluster([pod])) == []
