"""Compare objects that were made by hand with a section of a stack, and let the stack take over the equal ones.

The comparison is the engine's own. Every resource that the section would create gets the id its inputs determine and goes
into a *scratch* state; a preview with refresh on that state reads the real objects and tells for each of them whether it is
missing, equal or different. Nothing is written but the scratch state, in a temporary folder, and the import file.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from cli import engine, lifecycle, state_edit
from cli.deterministic_ids import deterministic_id
from cli.errors import CommandError, InputError
from cli.session import Report, Session
from cli.stack import Stack
from cli.state_edit import Record, State
from toolchain.paths import ROOT

# How the engine writes a value that is not known before something else exists.
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
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


def adopt(stack: Stack, section: str, *, as_json: bool, report: Report) -> int:
    """Compare and print; write the import file if anything is equal. Raises InputError, CommandError."""
    session = lifecycle.ready_to_read(stack, report)
    targets = lifecycle.targets_of(session, section)
    with tempfile.TemporaryDirectory(prefix="factory-adopt-") as folder:
        comparisons, records = _compare(session, targets, Path(folder))
    file = _write_import_file(stack, section, comparisons, records)
    _print(comparisons, file, as_json=as_json)
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


def _compare(session: Session, targets: Iterable[str], folder: Path) -> tuple[list[Comparison], dict[str, Record]]:
    state: State = json.loads(engine.capture(session, ["stack", "export", "--stack", session.stack.name]))
    owned = {record["urn"] for record in (state.get("deployment") or {}).get("resources", [])}
    scratch = replace(session, exports=session.exports | {"PULUMI_BACKEND_URL": (folder / "state").as_uri()})
    (folder / "state").mkdir()
    engine.capture(scratch, ["stack", "init", "--no-select", "--stack", session.stack.name])
    records: dict[str, Record] = {}
    while True:
        state_edit.store(scratch, state_edit.add(state, records.values()))
        plan = _plan(scratch, targets, folder / "plan.json")
        fresh = {urn: record for urn, record in _known_records(plan).items() if urn not in records and urn not in owned}
        if not fresh:
            break
        records |= fresh
    return _verdicts(scratch, plan, records, owned, targets), records


def _plan(session: Session, targets: Iterable[str], file: Path) -> dict[str, Any]:
    arguments = ["preview", "--refresh", "--stack", session.stack.name, "--save-plan", str(file)]
    engine.capture(session, [*arguments, *targets])
    plans: dict[str, Any] = json.loads(file.read_text("utf-8"))["resourcePlans"]
    return plans


def _known_records(plans: Mapping[str, Any]) -> dict[str, Record]:
    """Return a state record for each planned create whose inputs and id are known."""
    records: dict[str, Record] = {}
    providers: dict[str, str] = {}
    for urn, plan in plans.items():
        goal = plan.get("goal")
        if not goal or plan.get("steps") != ["create"]:
            continue
        inputs = plan.get("state") or {}
        if _UNKNOWN in json.dumps(inputs):
            continue
        record: Record = {"urn": urn, "type": goal["type"], "custom": goal["custom"], "inputs": inputs, "outputs": {}}
        for key in ("parent", "provider", "dependencies", "propertyDependencies", "protect"):
            if goal.get(key):
                record[key] = goal[key]
        if goal["type"].startswith("pulumi:providers:"):
            record |= {"id": providers.setdefault(urn, str(uuid.uuid4())), "outputs": inputs}
        elif goal["custom"]:
            identity = deterministic_id(goal["type"], inputs)
            if identity is None:
                continue
            record["id"] = identity
        records[urn] = record
    for record in records.values():
        if "provider" in record:
            urn, _, identity = record["provider"].rpartition("::")
            record["provider"] = f"{urn}::{providers.get(urn, identity)}"
    return records
