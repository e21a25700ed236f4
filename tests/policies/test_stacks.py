"""The pack over the graphs of the committed stacks: each passes as what it is, production fails as a sandbox."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from policies.facts import read_facts
from policies.pack_config import pack_config
from policies.rules import RULES, judge
from policies.view import ProviderView, ResourceView, Value
from stacks import build as build_stack
from stacks.settings import production_fingerprints
from tests.support.mocks import Graph, Node, build, reveal
from tests.support.stacks import ENDPOINTS, ROOT, computed, site_of

CLUSTER = """
contexts: [{name: sandbox, context: {cluster: embedded, user: admin}}]
clusters: [{name: embedded, cluster: {server: "https://127.0.0.1:16443"}}]
users: [{name: admin, user: {token: word}}]
"""
# The contexts each stack may use, as the launcher tells the pack.
CONTEXTS = {"sandbox": "sandbox", "lab": "default", "example": "example"}
ENVIRONMENTS = {"sandbox": "sandbox", "lab": "prod", "example": "prod"}


@pytest.fixture(params=ENVIRONMENTS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _graph(stack: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setitem(ENDPOINTS["kubernetes"], "kubeconfig", CLUSTER)
    return build(lambda: build_stack(site_of(stack, folder)), computed=computed, stack_name=stack)


def _violations(graph: Graph, environment: str, context: str) -> Iterator[tuple[str, str]]:
    document = pack_config(environment, production_fingerprints(ROOT).model_dump(), kube_contexts=[context])
    for rule in RULES:
        facts = read_facts({key: value for key, value in document[rule.id].items() if key != "enforcementLevel"})
        assert not facts.problems
        for node in graph:
            for violation in judge(rule, _view(node), facts) or ():
                yield rule.id, f"{node.type} {node.name}: {violation}"


def _view(node: Node) -> ResourceView:
    provider = None
    if node.provider:
        *_, kind, name = node.provider.split("::")
        provider = ProviderView(kind, name)
    return ResourceView(node.type, node.name, {key: _plain(value) for key, value in node.inputs.items()}, provider)


def _plain(value: Any) -> Value:
    value = reveal(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    assert isinstance(value, str | int | float | None)
    return value


def test_a_committed_stack_breaks_no_rule(stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = _graph(stack, tmp_path, monkeypatch)
    assert list(_violations(graph, ENVIRONMENTS[stack], CONTEXTS[stack])) == []


@pytest.mark.parametrize("production", ["lab", "example"])
def test_a_production_stack_is_refused_as_a_sandbox(
    production: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = _graph(production, tmp_path, monkeypatch)
    broken = {rule for rule, _ in _violations(graph, "sandbox", CONTEXTS["sandbox"])}
    assert broken >= {"POL-01", "POL-02", "POL-03", "POL-11"}
