"""Compare objects that were made by hand with a section of a stack, and let the stack take over the equal ones.

The comparison is the engine's own. Every resource that the section would create gets the id its inputs determine and
goes into a *scratch* state in a temporary folder; a refresh of that state reads the real objects, and a preview tells
for each of them whether it is missing, equal or different. Nothing else is written but the import file.

Two things the providers do not read back, so they are looked at here: the values of a KV secret, and the id that Vault
draws for an identity group.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cli import engine, lifecycle, state_edit
from cli.deterministic_ids import deterministic_id, place_of
from cli.errors import InputError
from cli.session import Report, Session
from cli.stack import Stack
from cli.state_edit import Record, State
from cli.vault_client import VaultClient

# How the engine writes a value that is not known before something else exists.
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# What a record of the state has of the goal in a plan.
_KEPT = ("parent", "provider", "dependencies", "propertyDependencies", "protect")
_FOREIGN_MARKS = ("argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name", "app.kubernetes.io/managed-by")
# How the state marks a secret value.
_SIGNATURE, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
_KV = "vault:kv/secretV2:SecretV2"


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


class _Needs(BaseModel):
    """What is relied on of a record; the rest is the engine's."""

    model_config = ConfigDict(strict=True)

    urn: str
    type: str
    parent: str = ""
    provider: str = ""
    dependencies: list[str] | None = None
    property_dependencies: dict[str, list[str] | None] | None = Field(default=None, alias="propertyDependencies")


def _usable(record: Record) -> Record:
    _Needs.model_validate(record)
    return record


class _ImportFile(BaseModel):
    """What an adoption takes over: records of the state, made for one section of one stack."""

    stack: str
    section: str
    resources: list[Annotated[Record, AfterValidator(_usable)]]


def adopt(stack: Stack, section: str, file: Path, *, as_json: bool, report: Report) -> int:
    """Compare, print, and write the import file if anything is equal. Raises InputError, CommandError."""
    if file.is_dir() or not os.access(file.parent, os.W_OK | os.X_OK):
        raise InputError(f"--file {file}: no file can be written there; name one in a folder that is yours")
    ready = lifecycle.prepare(stack, report, only=section)
    state = state_edit.read(ready.session)
    with state_edit.scratch(ready.session, state) as scratch:
        search = _Search(scratch, state, ready.patterns(section), lambda: VaultClient.of(scratch, ready.settings))
        comparisons = search.compare()
    equal = {comparison.urn for comparison in comparisons if comparison.verdict is Verdict.EQUAL}
    if equal:
        taken = [record for urn, record in search.records.items() if urn in equal or not _is_object(record)]
        document = _ImportFile(stack=stack.name, section=section, resources=taken)
        file.write_text(document.model_dump_json(indent=2) + "\n", "utf-8")
    _print(comparisons, file if equal else None, stack, as_json=as_json)
    return 0


def read_import_file(stack: Stack, file: Path) -> list[Record]:
    """Return the records of an import file. Raises InputError when it is not one of this stack."""
    try:
        found = _ImportFile.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"--adopt {file}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"--adopt {file}: not an import file; `./factory adopt SECTION` writes one") from error
    if found.stack != stack.name:
        raise InputError(f"--adopt {file}: made for stack {found.stack!r}, not for {stack.name!r}")
    return found.resources


@dataclass
class _Search:
    """Finds the real objects of the URNs that match `patterns`, starting from the stack's own state.

    `scratch` has that state too.
    """

    scratch: Session
    state: State
    patterns: Sequence[str]
    open_vault: Callable[[], VaultClient]
    records: dict[str, Record] = field(default_factory=dict)

    @cached_property
    def vault(self) -> VaultClient:
        return self.open_vault()

    def compare(self) -> list[Comparison]:
        owned = state_edit.resources(self.state).keys()
        # Each round knows more: what depends on an object can be looked up once that object was found.
        while True:
            plans, differences = self._preview()
            fresh = {record["urn"]: record for record in self._known(plans) if record["urn"] not in owned}
            if not fresh.keys() - self.records.keys():
                break
            fresh = {urn: record for urn, record in fresh.items() if urn not in self.records}
            self.records |= fresh
            self._look_up(fresh)
        live = state_edit.resources(self.state)
        return [
            self._verdict(urn, plan, differences.get(urn, ()), live.get(urn))
            for urn, plan in plans.items()
            if urn not in owned and plan.get("goal") and _is_object(plan["goal"]) and self._wanted(urn)
        ]

    def _preview(self) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
        """Return the plan of each resource, and the property paths in which it differs."""
        name = self.scratch.stack.name
        with tempfile.TemporaryDirectory(prefix="factory-adopt-") as folder:
            file = Path(folder, "plan.json")
            shown = engine.capture(self.scratch, ["preview", "--json", "--save-plan", str(file), "--stack", name])
            plans: dict[str, Any] = json.loads(file.read_text("utf-8"))["resourcePlans"]
        steps = json.loads(shown[shown.index("{") :])["steps"]
        return plans, {step["urn"]: tuple(sorted(step.get("detailedDiff") or ())) for step in steps}

    def _known(self, plans: Mapping[str, Any]) -> Iterator[Record]:
        """Make a state record of each planned create whose inputs and id are known."""
        for urn, plan in plans.items():
            goal = plan.get("goal")
            if not goal or plan["steps"] != ["create"]:
                continue
            inputs = _planned_inputs(goal)
            inside = self._wanted(urn) or goal["type"].startswith("pulumi:")
            if not inside or _UNKNOWN in json.dumps(inputs):
                continue
            # A value that the backend never gives back, such as a password, counts as equal: the outputs hold it.
            record: Record = {"urn": urn, "type": goal["type"], "custom": goal["custom"], "inputs": inputs}
            record |= {key: goal[key] for key in _KEPT if goal.get(key)} | {"outputs": inputs}
            if goal["custom"]:
                identity = self._identity(record)
                if identity is None:
                    continue
                record["id"] = identity
            if record.get("provider", "").endswith(_UNKNOWN):
                provider = record["provider"].rpartition("::")[0]
                record["provider"] = f"{provider}::{_provider_id(provider)}"
            yield record

    def _identity(self, record: Record) -> str | None:
        if not _is_object(record):
            return _provider_id(record["urn"])
        if place := place_of(record["type"], record["inputs"]):
            found = self.vault.read(place)
            return str(found["id"]) if found else None
        return deterministic_id(record["type"], record["inputs"])

    def _look_up(self, fresh: Mapping[str, Record]) -> None:
        state_edit.store(self.scratch, state_edit.add(self.state, fresh.values()))
        targets = [
            argument for record in fresh.values() if _is_object(record) for argument in ("--target", record["urn"])
        ]
        if targets:
            options = ["--yes", "--skip-preview", "--stack", self.scratch.stack.name]
            engine.capture(self.scratch, ["refresh", *options, *targets])
        shown = state_edit.read(self.scratch, "--show-secrets")
        if secrets := [
            record for urn, record in state_edit.resources(shown).items() if record["type"] == _KV and urn in fresh
        ]:
            # Its provider reads that a secret exists, not what it holds: what an `up` would have noted is noted here.
            for record in secrets:
                record["outputs"] |= _kv_outputs(_clear(record["inputs"]["dataJson"]))
            state_edit.store(self.scratch, shown)
        self.state = state_edit.read(self.scratch)
        self.records |= {
            urn: self.records[urn] | {"outputs": state_edit.resources(self.state)[urn]["outputs"]}
            for urn in (record["urn"] for record in secrets)
        }

    def _verdict(self, urn: str, plan: Mapping[str, Any], paths: tuple[str, ...], live: Record | None) -> Comparison:
        record, goal = self.records.get(urn), plan["goal"]
        if record is None:
            if place := place_of(goal["type"], _planned_inputs(goal)):
                return Comparison(urn, place, Verdict.MISSING)
            return Comparison(urn, "", Verdict.UNKNOWN, ("it, or a value in it, is decided when it is made",))
        identity = str(record["id"])
        if live is None:
            return Comparison(urn, identity, Verdict.MISSING)
        if owner := foreign_owner(record["inputs"], live.get("outputs") or {}):
            return Comparison(urn, identity, Verdict.FOREIGN, (owner,))
        if record["type"] == _KV:
            paths += self._differing_keys(urn)
        if plan["steps"] == ["same"] and not paths:
            return Comparison(urn, identity, Verdict.EQUAL)
        return Comparison(urn, identity, Verdict.DIFFERS, paths)

    def _differing_keys(self, urn: str) -> tuple[str, ...]:
        """Compare the values of a KV secret: its provider reads that it exists, not what it holds."""
        record = state_edit.resources(state_edit.read(self.scratch, "--show-secrets"))[urn]
        wanted = json.loads(_clear(record["inputs"]["dataJson"]))
        found = (self.vault.read(record["id"]) or {}).get("data") or {}
        return tuple(f"dataJson.{key}" for key in sorted({*wanted, *found}) if wanted.get(key) != found.get(key))

    def _wanted(self, urn: str) -> bool:
        return any(fnmatchcase(urn, pattern) for pattern in self.patterns)


def _planned_inputs(goal: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the inputs of a planned create: what is added to none."""
    inputs: Mapping[str, Any] = goal["inputDiff"].get("adds") or {}
    return inputs


def _is_object(record: Mapping[str, Any]) -> bool:
    """Whether it stands for something on a backend: no component, no provider, nothing that only a state has."""
    return bool(record["custom"]) and not record["type"].startswith(("pulumi:", "pulumi-python:"))


def _provider_id(urn: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, urn))


def _clear(value: Any) -> str:  # noqa: ANN401 - a property value
    """Return the text of a value that was exported with its secrets shown."""
    return str(json.loads(value["plaintext"])) if isinstance(value, dict) else str(value)


def _kv_outputs(wanted: str) -> dict[str, Any]:
    """Return what the provider notes of a KV secret it wrote: its JSON as Go writes it, and the options' defaults."""
    text = json.dumps(json.loads(wanted), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    secret = {_SIGNATURE: _SECRET, "plaintext": json.dumps(text)}
    return {"dataJson": secret, "deleteAllVersions": False, "disableRead": False}


def foreign_owner(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> str | None:
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
    if not comparisons:
        typer.echo("nothing to compare: the stack has all of it in its state already")
    if file:
        typer.echo(f"\nwrote {file}; ./factory up --stack {stack.name} --adopt {file} takes over what is equal")
