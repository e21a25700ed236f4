"""Exact plans: each file below `cases` holds facts, a desired document, what the resource owns, and the whole plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.host.agent.facts import with_journal
from components.host.agent.plan import Content, Planning
from components.host.agent.planner import plan
from components.host.args import HostStateArgs

CASES = Path(__file__).parent / "cases"
FILES = sorted(CASES.glob("*/*.json"))
ROOT = {"self": {"owner": "root", "group": "root"}}


def readable(operation: tuple[Any, ...]) -> list[Any]:
    """An operation as the cases write it: contents as text, and of a step its name alone."""
    if operation[0] == "step":
        return ["step", operation[1]]
    shown = [part.data.decode() if isinstance(part, Content) and part.data is not None else part for part in operation]
    return json.loads(json.dumps([None if isinstance(part, Content) else part for part in shown]))  # type: ignore[no-any-return]


def planned(case: dict[str, Any]) -> Planning:
    facts = {**ROOT, **case["facts"]}
    owned = with_journal(case.get("owned", {}), facts.get("journal"))
    document = HostStateArgs.model_validate(case["desired"]).document()
    keyed = "<{}>".format
    return plan(Planning(document, facts, owned, resource="case", keyed_hash=keyed))


def shown(planning: Planning) -> dict[str, Any]:
    actions = [
        {**action.public(), "operations": [readable(each) for each in action.operations]} for action in planning.actions
    ]
    return {"actions": actions, **({"problems": planning.problems} if planning.problems else {})}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_plan(file: Path) -> None:
    case = json.loads(file.read_text("utf-8"))
    assert shown(planned(case)) == case["plan"]


def test_there_are_cases_of_every_kind() -> None:
    """A moved folder must not silently empty the test above."""
    assert len(FILES) >= 120
    assert {file.parent.name for file in FILES} >= {kind for kind in HostStateArgs.model_fields if kind != "confirm"}
