"""Put resources into a stack's state that the engine did not make: their objects exist already, or may exist."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from cli import engine
from cli.session import Session
from cli.stack import BACKEND_VARIABLE
from stacks.settings.guards import SCRATCH_VARIABLE

State = dict[str, Any]
Record = dict[str, Any]


def read(session: Session, *options: str) -> State:
    """Return the stack's state, as `pulumi stack export` does. Raises CommandError."""
    state: State = engine.capture_json(session, ["stack", "export", "--stack", session.stack.name, *options])
    return state


def store(session: Session, state: State) -> None:
    """Replace the stack's state by this one, as `pulumi stack import` does. Raises CommandError."""
    engine.capture(session, ["stack", "import", "--stack", session.stack.name], given=json.dumps(state))


@contextmanager
def scratch(session: Session, state: State) -> Iterator[Session]:
    """Give the same stack on a backend in a temporary folder, where it has this state.

    What the real state encrypts can be decrypted there. Raises CommandError.
    """
    file = session.stack.file
    before = file.read_bytes()
    with tempfile.TemporaryDirectory(prefix="factory-state-") as folder:
        elsewhere = {BACKEND_VARIABLE: Path(folder).as_uri(), SCRATCH_VARIABLE: session.backend}
        copy = replace(session, exports=session.exports | elsewhere)
        try:
            engine.capture(copy, ["stack", "init", "--no-select", "--stack", session.stack.name])
        finally:
            if file.read_bytes() != before:
                file.write_bytes(before)
        if resources(state):
            store(copy, state)
        yield copy


def resources(state: State) -> dict[str, Record]:
    """Return the resources of a state by URN."""
    return {record["urn"]: record for record in (state.get("deployment") or {}).get("resources") or ()}


def add(state: State, records: Iterable[Record]) -> State:
    """Return the state with these records after those they depend on; a URN that is there already stays as it is.

    A dependency on what is in neither is left out, for the engine refuses such a state; the next `up` notes it again.
    """
    deployment = dict(state.get("deployment") or {})
    present = list(deployment.get("resources") or [])
    known = {record["urn"] for record in present}
    fresh = {record["urn"]: record for record in records if record["urn"] not in known}
    fresh = {urn: _within(record, known | fresh.keys()) for urn, record in fresh.items()}
    order = TopologicalSorter({urn: needs(record) & fresh.keys() for urn, record in fresh.items()}).static_order()
    deployment["resources"] = present + [fresh[urn] for urn in order]
    return state | {"deployment": deployment}


def _within(record: Record, known: AbstractSet[str]) -> Record:
    limited = dict(record)
    if "dependencies" in record:
        limited["dependencies"] = [urn for urn in record["dependencies"] if urn in known]
    if "propertyDependencies" in record:
        limited["propertyDependencies"] = {
            name: [urn for urn in urns or () if urn in known] for name, urns in record["propertyDependencies"].items()
        }
    return limited


def needs(record: Mapping[str, Any]) -> set[str]:
    """Return the URNs of what a resource cannot be without: its parent, its provider, what it depends on."""
    found = {record.get("parent", ""), *(record.get("dependencies") or ())}
    if provider := record.get("provider"):
        found.add(provider.rpartition("::")[0])
    return found - {record["urn"]}
