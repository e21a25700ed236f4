"""From what pydantic reports to `Problem`s a reader can act on: real key path, rule, fix, nearest known key."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from components.host.remote_host import ConfigFile
from components.model import CidrBlock, DnsLabel, HostName, HttpUrl, OperatorPath, Quantity, SqlName, VaultPath

from .connections import OperatorFile
from .problems import Path, Problem, did_you_mean, key_path, shown
from .yaml_file import StackFile

_FORMS = {
    next(one.pattern for one in get_args(kind) if isinstance(one, StringConstraints)): words
    for kind, words in (
        (DnsLabel, "a DNS label: at most 63 of a-z, 0-9 and -"),
        (HostName, "a DNS name: labels of a-z, 0-9 and -, joined by dots, without a dot at the end"),
        (HttpUrl, "a web address: http:// or https://, a host, no login, no slash at the end"),
        (CidrBlock, "a range of addresses such as 10.42.0.0/16"),
        (SqlName, "a PostgreSQL name: at most 63 of a-z, 0-9, _ and -, beginning with a letter or _"),
        (OperatorPath, "a path from `/` or from `~/`"),
        (ConfigFile, "a path from `/` or from `~/`"),
        (OperatorFile, "a file from `/`, from `~/` or from the checkout"),
        (VaultPath, "a path without slashes at its ends"),
        (Quantity, "a quantity such as 250m, 128Mi or 1Gi"),
    )
}
"""What the shared patterns mean; a reader of a message should not have to read them."""

_KINDS = {
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
"""Kinds of values in the words of YAML; pydantic's own are those of Python."""

_QUOTED = re.compile(r"'([^']*)'")
_ADVICE = re.compile(r"(?<=.)(?::|;) (?=[^:;]*\Z)")


def explain(error: ValidationError, model: type[BaseModel], raw: object, source: StackFile) -> Iterator[Problem]:
    """Make one problem per error of validating `raw`, the values of `source`, against `model`."""
    for details in error.errors(include_url=False):
        yield _problem(details, model, raw, source)


def problem_at(source: StackFile, path: Path, rule: str, fix: str, *, value: object = None) -> Problem:
    """Make a problem of the key `path`, with its place in the file where one is known."""
    place = source.position(path)
    return Problem(
        source.name,
        key_path(path),
        rule,
        fix,
        value=None if value is None else shown(path, value),
        line=place.line if place else None,
        column=place.column if place else None,
    )


def split_advice(message: str) -> tuple[str, str]:
    """Split a validator's sentence `VALUE: rule; what to do` into the rule and the advice at its end."""
    message = message.removeprefix("Value error, ")
    parts = _ADVICE.split(message, maxsplit=1)
    if len(parts) == 1:
        return message, "Correct the value"
    rule, advice = parts
    return rule, advice[:1].upper() + advice[1:]


def field_at(model: type[BaseModel], path: Sequence[str | int]) -> FieldInfo | None:
    """Find the field a key path leads to, if it leads to a field of a model."""
    if not path:
        return None
    for parent in _models_at(model, path[:-1]):
        if (found := parent.model_fields.get(str(path[-1]))) is not None:
            return found
    return None


def _problem(details: ErrorDetails, model: type[BaseModel], raw: object, source: StackFile) -> Problem:
    kind, path = details["type"], _real_path(details, raw)
    if kind == "missing":
        about = field_at(model, path)
        fix = f"Set it: {about.description}" if about and about.description else "Set it"
        return problem_at(source, path, "is required and has no default", fix)
    if kind == "extra_forbidden":
        known = [name for parent in _models_at(model, path[:-1]) for name in parent.model_fields]
        # The value is left out: under a misspelt key it may be anything, also a secret.
        return problem_at(source, path, "unknown key", did_you_mean(path[-1], known))
    if kind == "value_error":
        rule, fix = split_advice(details["msg"])
        return problem_at(source, path, rule, fix, value=_value(raw, path))
    rule = _KINDS.get(kind) or details["msg"][:1].lower() + details["msg"][1:]
    if kind == "string_pattern_mismatch":
        pattern = details.get("ctx", {}).get("pattern", "")
        rule = f"is not {_FORMS[pattern]}" if pattern in _FORMS else f"does not match {pattern}"
    if kind in {"literal_error", "enum"}:
        fix = did_you_mean(details.get("input"), _QUOTED.findall(str(details.get("ctx", {}).get("expected", ""))))
    else:
        fix = _expected(field_at(model, path) or field_at(model, path[:-1]))
    return problem_at(source, path, rule, fix, value=_value(raw, path))


def _expected(about: FieldInfo | None) -> str:
    return f"Expected: {about.description}" if about and about.description else "Correct the value"


def _real_path(details: ErrorDetails, raw: object) -> Path:
    """Return the error's location without the markers pydantic adds for union members and dictionary keys."""
    path: list[str | int] = []
    here = raw
    location = details["loc"]
    for index, part in enumerate(location):
        in_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if in_list or (isinstance(here, Mapping) and part in here):
            here = here[part]  # type: ignore[index]
        elif not (details["type"] == "missing" and index == len(location) - 1):
            continue
        path.append(part)
    return tuple(path)


def _value(raw: object, path: Path) -> object:
    here = raw
    for part in path:
        if isinstance(here, Mapping) or (isinstance(here, list) and isinstance(part, int)):
            here = here[part]  # type: ignore[index]
    return here


def _models_at(model: type[BaseModel], path: Sequence[str | int]) -> list[type[BaseModel]]:
    annotations: list[Any] = [model]
    for part in path:
        annotations = [after for annotation in annotations for after in _step(annotation, part)]
    return [found for annotation in annotations for found in _members(annotation) if _is_model(found)]


def _step(annotation: object, part: str | int) -> Iterator[Any]:
    for member in _members(annotation):
        if _is_model(member):
            if (found := member.model_fields.get(str(part))) is not None:
                yield found.annotation
        elif arguments := [argument for argument in get_args(member) if argument is not Ellipsis]:
            # The values of a mapping, or the items of a sequence.
            yield arguments[-1]


def _members(annotation: object) -> Iterator[Any]:
    """Take the annotation out of `Annotated`, a union member by member."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
