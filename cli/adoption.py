"""Compare objects that were made by hand with a section of a stack, and let the stack take over the equal ones.

The comparison is the engine's own. Every resource that the section would create gets the id its inputs determine and
goes into a *scratch* state in a temporary folder; a refresh of that state reads the real objects, and a preview tells
for each of them whether it is missing, equal or different. Nothing else is written but the import file.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from cli import engine, lifecycle, state_edit
from cli.deterministic_ids import deterministic_id
from cli.errors import InputError
from cli.session import Report, Session
from cli.stack import Stack
from cli.state_edit import Record, State

# How the engine writes a value that is not known before something else exists.
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# What a record of the state has of the goal in a plan.
_KEPT = ("parent", "provider", "dependencies", "propertyDependencies", "protect")
_FOREIGN_MARKS = ("argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name", "app.kubernetes.io/managed-by")


class Verdict(StrEnum):
    """What became of the comparison of one object."""

    EQUAL = "equal"
    DIFFERS = "differs"
    MISSING = "missing"
    FOREIGN = "foreign owner"
    UNKNOWN = "not comparable"


@dataclass(frozen=True)
class Comparison:
    """One object of the section. `details` are the property paths that differ, or who owns it."""

    urn: str
    identity: str
    verdict: Verdict
    details: tuple[str, ...] = ()


def adopt(stack: Stack, section: str, file: Path, *, as_json: bool, report: Report) -> int:
    """Compare, print, and write the import file if anything is equal. Raises InputError, CommandError."""
    ready = lifecycle.prepare(stack, report, changing=False)
    with tempfile.TemporaryDirectory(prefix="factory-adopt-") as folder:
        comparisons, records = _compare(ready.session, ready.targets(section), Path(folder))
    equal = {comparison.urn for comparison in comparisons if comparison.verdict is Verdict.EQUAL}
    taken = [record for urn, record in records.items() if urn in equal or not record["custom"] or _is_provider(record)]
    if equal:
        file.write_text(json.dumps({"stack": stack.name, "section": section, "resources": taken}, indent=2), "utf-8")
    _print(comparisons, file if equal else None, stack, as_json=as_json)
    return 0


def read_import_file(stack: Stack, file: Path) -> list[Record]:
    """Return the records of an import file. Raises InputError when it is not one of this stack."""
    try:
        content = json.loads(file.read_text("utf-8"))
        records: list[Record] = content["resources"]
        made_for = content["stack"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--adopt {file}: not an import file of `./factory adopt` ({error})") from error
    if made_for != stack.name:
        raise InputError(f"--adopt {file}: made for stack {made_for!r}, not for {stack.name!r}")
    return records


def _compare(session: Session, targets: Sequence[str], folder: Path) -> tuple[list[Comparison], dict[str, Record]]:
    state = _export(session)
    owned = _resources(state).keys()
    (folder / "state").mkdir()
    scratch = replace(session, exports=session.exports | {"PULUMI_BACKEND_URL": (folder / "state").as_uri()})
    engine.capture(scratch, ["stack", "init", "--no-select", "--stack", session.stack.name])
    records: dict[str, Record] = {}
    fresh: dict[str, Record] = {}
    # Each round knows more: what depends on an object can be looked up once that object was found.
    while True:
        state_edit.store(scratch, state_edit.add(state, fresh.values()))
        engine.capture(scratch, ["refresh", "--yes", "--skip-preview", "--stack", session.stack.name, *targets])
        state = _export(scratch)
        plans = _plan(scratch, targets, folder / "plan.json")
        fresh = _known_records(plans, records.keys() | owned)
        if not fresh:
            break
        records |= fresh
    live = _resources(state)
    compared = {urn: plan for urn, plan in plans.items() if urn not in owned and _is_object(plan.get("goal"))}
    return [_verdict(urn, plan, records.get(urn), live.get(urn)) for urn, plan in compared.items()], records


def _export(session: Session) -> State:
    exported: State = json.loads(engine.capture(session, ["stack", "export", "--stack", session.stack.name]))
    return exported


def _resources(state: State) -> dict[str, Record]:
    return {record["urn"]: record for record in (state.get("deployment") or {}).get("resources") or ()}


def _plan(session: Session, targets: Sequence[str], file: Path) -> dict[str, Any]:
    engine.capture(session, ["preview", "--stack", session.stack.name, "--save-plan", str(file), *targets])
    plans: dict[str, Any] = json.loads(file.read_text("utf-8"))["resourcePlans"]
    return plans


def _known_records(plans: Mapping[str, Any], known: AbstractSet[str]) -> dict[str, Record]:
    """Return a state record for each planned create whose inputs and id are known."""
    records: dict[str, Record] = {}
    for urn, plan in plans.items():
        goal, inputs = plan.get("goal"), plan.get("state") or {}
        if urn in known or not goal or plan.get("steps") != ["create"] or _UNKNOWN in json.dumps(inputs):
            continue
        record: Record = {"urn": urn, "type": goal["type"], "custom": goal["custom"], "inputs": inputs, "outputs": {}}
        record |= {key: goal[key] for key in _KEPT if goal.get(key)}
        if _is_provider(record):
            record |= {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, urn)), "outputs": inputs}
        elif goal["custom"]:
            identity = deterministic_id(goal["type"], inputs)
            if identity is None:
                continue
            record["id"] = identity
        if _UNKNOWN in record.get("provider", ""):
            provider = record["provider"].rpartition("::")[0]
            record["provider"] = f"{provider}::{uuid.uuid5(uuid.NAMESPACE_URL, provider)}"
        records[urn] = record
    return records


def _is_provider(record: Record) -> bool:
    return str(record["type"]).startswith("pulumi:providers:")


def _is_object(goal: Mapping[str, Any] | None) -> bool:
    return bool(goal and goal["custom"] and not goal["type"].startswith("pulumi:providers:"))


def _verdict(urn: str, plan: Mapping[str, Any], record: Record | None, live: Record | None) -> Comparison:
    if record is None:
        return Comparison(urn, "", Verdict.UNKNOWN, ("its id is decided when it is made",))
    identity = str(record["id"])
    if live is None:
        return Comparison(urn, identity, Verdict.MISSING)
    if owner := _foreign_owner(record["inputs"], live.get("outputs") or {}):
        return Comparison(urn, identity, Verdict.FOREIGN, (owner,))
    if plan["steps"] == ["same"]:
        return Comparison(urn, identity, Verdict.EQUAL)
    changes = plan["goal"].get("inputDiff") or {}
    paths = sorted({*changes.get("adds", ()), *changes.get("updates", ()), *changes.get("deletes", ())})
    return Comparison(urn, identity, Verdict.DIFFERS, tuple(paths))


def _foreign_owner(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> str | None:
    """Tell who else manages an object: another deployment tool, a controller, or another role of the database."""
    if "owner" in wanted and live.get("owner") != wanted["owner"]:
        return f"owned by role {live.get('owner')}"
    metadata, ours = live.get("metadata") or {}, wanted.get("metadata") or {}
    if references := metadata.get("ownerReferences"):
        return f"owned by {references[0]['kind']} {references[0]['name']}"
    for place in ("annotations", "labels"):
        marks, own = metadata.get(place) or {}, ours.get(place) or {}
        for mark in _FOREIGN_MARKS:
            if mark in marks and marks[mark] != own.get(mark):
                return f"{mark}: {marks[mark]}"
    return None


def _print(comparisons: Sequence[Comparison], file: Path | None, stack: Stack, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(comparison) for comparison in comparisons], indent=2))
        return
    for comparison in sorted(comparisons, key=lambda one: (one.verdict, one.urn)):
        kind, _, name = comparison.urn.split("::", 2)[2].partition("::")
        details = f"  ({', '.join(comparison.details)})" if comparison.details else ""
        typer.echo(f"{comparison.verdict:15} {kind.rpartition('$')[2]:55} {comparison.identity or name}{details}")
    if file:
        typer.echo(f"\nwrote {file}; ./factory up --stack {stack.name} --adopt {file} takes over what is equal")
