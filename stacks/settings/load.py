"""From what a stack says to `Settings`: each section on its own, then the rules across them, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from . import endpoints as embedded
from .draft import Draft
from .endpoints import Endpoints
from .explain import explain, field_at, problem_at
from .guards import Fingerprints, strings
from .problems import NAMESPACE, Path, Problem, SettingsError, did_you_mean, key_path, set_secret
from .rules import check
from .schema import ENCRYPTED_SECTIONS, Settings, alone
from .starter import BLANK
from .yaml_file import Encrypted, StackFile, read

__all__ = ["examine", "load", "production_fingerprints", "validate_files"]

_HEAD_REVISION = "HEAD"
_ONE_BY_ONE = ("apps", "hosts")
_BY_OWNER = ("secrets", "host_secrets")
"""Encrypted sections whose secrets stand below an application or a machine."""


def load(
    raw: Mapping[str, Any],
    source: StackFile | str,
    *,
    production: Fingerprints | None = None,
    endpoints: Endpoints = embedded.PLACEHOLDER,
) -> Settings:
    """Validate the settings of one stack.

    `raw` maps each key of the namespace, without `factory:`, to its value; encrypted leaves are `Encrypted()`.
    `source` is the file it came from, or its name. `production` is what the stack files of production declare as
    theirs. `endpoints` are those of the running sandbox. Raises SettingsError with every problem, also those which a
    file that holds no secrets yet would leave open.
    """
    stack = source if isinstance(source, StackFile) else StackFile(source, initialised=True)
    settings, problems = examine(raw, stack, production=production or Fingerprints(), endpoints=endpoints)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def validate_files(files: Iterable[FilePath]) -> list[Problem]:
    """Every problem of every file, without the engine, a passphrase or a network.

    Pending ones are left to the operator.
    """
    problems: list[Problem] = []
    for file in files:
        try:
            stack = read(file)
        except SettingsError as error:
            problems += error.problems
            continue
        try:
            production = production_fingerprints(file.parent)
        except SettingsError as error:
            # The file at fault is named once, also when it is the one being validated.
            production = Fingerprints()
            problems += [problem for problem in error.problems if problem.file != stack.name]
        _, found = examine(stack.values, stack, production=production)
        problems += found
    return list(dict.fromkeys(problems))


def production_fingerprints(directory: FilePath) -> Fingerprints:
    """Read what all production stack files of a directory mark as theirs.

    Raises SettingsError when one cannot be understood.

    A file that is not understood could be production's, so it is an error and not skipped.
    """
    found = Fingerprints()
    problems: list[Problem] = []
    for file in sorted(directory.glob("Pulumi.*.yaml")):
        try:
            stack = read(file)
        except SettingsError as error:
            problems += error.problems
            continue
        if stack.values.get("environment") == "prod":
            # A file that is still to be filled in describes nothing yet: no production can be brought up from it.
            written = _filled_in(stack.values.get("fingerprints", {}))
            declared = _validated({"fingerprints": written}, "fingerprints", stack, problems)
            found = found.merged(declared or Fingerprints())
    if problems:
        raise SettingsError(problems)
    return found


def examine(
    raw: Mapping[str, Any],
    stack: StackFile,
    *,
    production: Fingerprints,
    endpoints: Endpoints = embedded.PLACEHOLDER,
) -> tuple[Settings | None, list[Problem]]:
    """Return the settings, or None when a problem stands in their way, and every problem."""
    problems = list(stack.problems)
    plain = _without_encrypted(raw, stack, problems)
    if plain.get("backends") == "embedded":
        plain = embedded.fill(plain, endpoints)
    valid = _sections(plain, stack, problems)
    problems = _blanks_first(plain, stack, problems)
    valid |= _encrypted_names(raw, stack, problems)
    problems += check(Draft(stack, plain, valid, production))
    if any(not problem.pending for problem in problems):
        return None, problems
    # Not validated again: that would import and build the models of all sections.
    return _following_its_revision(Settings.model_construct(**valid)), problems


def _sections(raw: Mapping[str, Any], stack: StackFile, problems: list[Problem]) -> dict[str, Any]:
    """Validate each section, application and machine on its own, so that one mistake hides no other."""
    valid: dict[str, Any] = {}
    if "environment" not in raw:
        fix = "Write prod or sandbox; everything is refused without (POL-30)"
        problems.append(problem_at(stack, ("environment",), "is required and has no default", fix))
    problems += [
        problem_at(stack, (key,), "unknown key", did_you_mean(key, Settings.model_fields))
        for key in raw
        if key not in Settings.model_fields
    ]
    for key in Settings.model_fields:
        if key not in raw or key in ENCRYPTED_SECTIONS:
            continue
        if raw[key] is None:
            problems.append(problem_at(stack, (key,), "has no value", "Write one, or remove the key"))
        elif key in _ONE_BY_ONE and isinstance(raw[key], Mapping):
            one_by_one = [_validated({key: {name: item}}, key, stack, problems) for name, item in raw[key].items()]
            valid[key] = {name: item for part in one_by_one if part is not None for name, item in part.items()}
        elif (value := _validated({key: raw[key]}, key, stack, problems)) is not None:
            valid[key] = value
    if "fingerprints" not in raw and raw.get("environment") == "prod":
        valid["fingerprints"] = Fingerprints()
    return valid


def _validated(part: Mapping[str, Any], key: str, stack: StackFile, problems: list[Problem]) -> Any:  # noqa: ANN401 - any section
    try:
        return getattr(alone(key).model_validate(part), key)
    except ValidationError as error:
        problems += explain(error, alone(key), part, stack)
        return None


def _blanks_first(raw: Mapping[str, Any], stack: StackFile, problems: list[Problem]) -> list[Problem]:
    """Report each value that was never filled in as that, instead of whatever rule the blank breaks."""
    blanks = {key_path(path): path for path, text in strings(raw, ()) if text == BLANK}
    others = [found for found in problems if not (BLANK in (found.value or "") and _covers(found.path, blanks))]
    filled_in = [_blank(stack, path) for path in blanks.values()]
    return others + filled_in


def _filled_in(value: object) -> object:
    """Leave out what the operator has not written yet."""
    if isinstance(value, Mapping):
        return {key: _filled_in(inner) for key, inner in value.items() if inner != BLANK}
    return [inner for inner in value if inner != BLANK] if isinstance(value, list) else value


def _blank(stack: StackFile, path: Path) -> Problem:
    named = tuple(part for part in path if isinstance(part, str))
    field = field_at(alone(named[0]), named) if named[0] in Settings.model_fields else None
    fix = f"Write: {field.description}" if field and field.description else "Write the value"
    return problem_at(stack, path, "is still to be filled in", fix)


def _covers(path: str, blanks: Mapping[str, Path]) -> bool:
    return any(blank == path or blank.startswith((f"{path}.", f"{path}[")) for blank in blanks)


def _encrypted_names(raw: Mapping[str, Any], stack: StackFile, problems: list[Problem]) -> dict[str, Any]:
    """Which secrets there are; a value that stands in clear is a problem and is never shown."""
    owned: dict[str, dict[str, frozenset[str]]] = {section: {} for section in _BY_OWNER}
    for section, owners in owned.items():
        for owner, keys in _mapping(raw, (section,), stack, problems).items():
            inner = _mapping({section: {owner: keys}}, (section, owner), stack, problems)
            owners[owner] = frozenset(
                key for key, value in inner.items() if _is_encrypted(value, (section, owner, key), stack, problems)
            )
    named = {
        section: frozenset(
            key
            for key, value in _mapping(raw, (section,), stack, problems).items()
            if _is_encrypted(value, (section, key), stack, problems)
        )
        for section in ENCRYPTED_SECTIONS
        if section not in _BY_OWNER
    }
    return {**owned, **named}


def _mapping(raw: Mapping[str, Any], path: Path, stack: StackFile, problems: list[Problem]) -> Mapping[str, Any]:
    value: Any = raw
    for part in path:
        value = value.get(part, {})
    if isinstance(value, Mapping):
        return value
    fix = f"Run {set_secret(stack.name, (*path, 'KEY'))} for each"
    problems.append(problem_at(stack, path, "must be a mapping of keys", fix))
    return {}


def _is_encrypted(value: object, path: Path, stack: StackFile, problems: list[Problem]) -> bool:
    if isinstance(value, Encrypted):
        return True
    fix = f"Change the secret, then run {set_secret(stack.name, path)}"
    problems.append(problem_at(stack, path, "a secret stands in clear", fix))
    return False


def _without_encrypted(raw: Mapping[str, Any], stack: StackFile, problems: list[Problem]) -> dict[str, Any]:
    """Leave the encrypted sections out; an encrypted value anywhere else is a problem."""

    def strip(value: object, path: Path) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, Mapping):
            return {key: strip(inner, (*path, key)) for key, inner in value.items() if keep(inner, (*path, key))}
        if isinstance(value, list):
            return [strip(inner, (*path, index)) for index, inner in enumerate(value) if keep(inner, (*path, index))]
        return value

    def keep(value: object, path: Path) -> bool:
        if not isinstance(value, Encrypted):
            return True
        allowed = ", ".join(f"`{NAMESPACE}:{key}`" for key in ENCRYPTED_SECTIONS)
        fix = f"Unset it with `pulumi config rm --path '{key_path(path).partition(':')[2]}'` and set it there"
        problems.append(problem_at(stack, path, f"only {allowed} hold encrypted values", fix))
        return False

    plain: dict[str, Any] = strip({key: value for key, value in raw.items() if key not in ENCRYPTED_SECTIONS}, ())
    return plain


def _following_its_revision(settings: Settings) -> Settings:
    """SBX-07: applications of a sandbox that name no revision follow the sandbox's."""
    if settings.sandbox is None:
        return settings
    revision = settings.sandbox.target_revision
    apps = {
        name: app.model_copy(update={"argo": app.argo.model_copy(update={"target_revision": revision})})
        if app.argo.target_revision == _HEAD_REVISION
        else app
        for name, app in settings.apps.items()
    }
    return settings.model_copy(update={"apps": apps})
