"""What each committed stack builds: a readable snapshot of its graph, and a table written by hand from the spec.

The snapshot shows every change of the graph in a diff; whether the graph is right is what the table says. After a
wanted change: `FACTORY_UPDATE_GRAPHS=1 pytest tests/unit/settings/test_graphs.py`, then read the diff.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks import build as build_stack
from stacks.settings.kept_data import kept_data
from stacks.settings.load import examine, production_fingerprints
from stacks.settings.yaml_file import read
from tests.support.mocks import Graph, build, render
from tests.support.stacks import ROOT, computed, site_of

GRAPHS = Path(__file__).resolve().parents[2] / "fixtures" / "graphs"
TABLE = yaml.safe_load((GRAPHS / "table.yaml").read_text(encoding="utf-8"))
STACKS = ("lab", "sandbox", "example")
MOST_RESOURCES = 300
"""Self-hosted state is rewritten at every step, so a stack stays small (design, section 2)."""


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Graph, Path]]:
    def graph(stack: str) -> tuple[Graph, Path]:
        directory = tmp_path_factory.mktemp(stack)
        return build(lambda: build_stack(site_of(stack, directory)), computed=computed, stack_name=stack), directory

    return {stack: graph(stack) for stack in STACKS}


def folded(graph: Graph) -> Graph:
    """Show a wait for what comes last inside a foundation as a wait for the foundation."""
    nodes = list(graph)
    for foundation in (node for node in graph if node.type.endswith("Foundation")):
        inside = [node for node in graph if node.custom and f"{foundation.type}$" in node.urn]
        last = {node.urn for node in inside} - {urn for node in inside for urn in node.depends_on}
        nodes = [
            replace(node, depends_on=(foundation.urn, *(set(node.depends_on) - last)))
            if last <= set(node.depends_on)
            else node
            for node in nodes
        ]
    return replace(graph, nodes=tuple(nodes))


@pytest.mark.parametrize("stack", STACKS)
def test_the_graph_is_the_one_on_record(stack: str, graphs: dict[str, tuple[Graph, Path]]) -> None:
    graph, directory = graphs[stack]
    text = render(folded(graph)).replace(str(directory), "STATE")
    file = GRAPHS / f"{stack}.yaml"
    if os.environ.get("FACTORY_UPDATE_GRAPHS"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("stack", STACKS)
def test_an_application_waits_for_all_of_the_foundations(stack: str, graphs: dict[str, tuple[Graph, Path]]) -> None:
    graph, _ = graphs[stack]
    own = [node for node in graph if node.custom and "factory:app:AppStack$" in node.urn]
    foundations = [node for node in graph if node.custom and "Foundation$" in node.urn]
    assert own
    assert foundations
    for node in own:
        missed = [other.urn for other in foundations if not graph.waits_for(node, other)]
        assert missed == [], node.urn


@pytest.mark.parametrize("stack", STACKS)
def test_the_guard_of_lost_data_knows_what_is_protected(stack: str, graphs: dict[str, tuple[Graph, Path]]) -> None:
    """PG-21, APP-39: every protected resource is named for its section, and what is named is in the graph."""
    file = read(ROOT / f"Pulumi.{stack}.yaml")
    settings, _ = examine(file.values, file, production=production_fingerprints(ROOT))
    assert settings is not None
    known = frozenset[str]().union(*kept_data(settings).values())
    own = {node.urn.rpartition("$")[2]: node.protect for node in graphs[stack][0]}
    assert {resource for resource, protect in own.items() if protect} <= known
    assert known
    assert known <= own.keys()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['id']}-{row['stack']}-{row['name']}")
def test_the_graph_is_what_the_requirements_say(row: dict[str, Any], graphs: dict[str, tuple[Graph, Path]]) -> None:
    graph, _ = graphs[row["stack"]]
    if row.get("absent"):
        assert graph.all(row["type"], row["name"]) == ()
        return
    node = graph.one(row["type"], row["name"])
    assert {path: node.get(path) for path in row.get("properties", {})} == row.get("properties", {})
    if "protect" in row:
        assert node.protect is row["protect"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_stays_small(stack: str, graphs: dict[str, tuple[Graph, Path]]) -> None:
    assert len(graphs[stack][0].nodes) < MOST_RESOURCES


def test_no_snapshot_holds_a_secret(graphs: dict[str, tuple[Graph, Path]]) -> None:
    kinds = ("token", "password", "pg", "root", "backup", "notes")
    for stack in STACKS:
        text = render(graphs[stack][0])
        for secret in ("value-of-", "password-of-", *(f"{kind}-secret" for kind in kinds)):
            assert secret not in text, f"{secret} in {stack}"
