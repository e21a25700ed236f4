"""`docs/configuration.md`, made of the models, so that it cannot disagree with them."""

from __future__ import annotations

import types
from collections.abc import Iterator
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .connections import CREDENTIALS
from .problems import NAMESPACE
from .schema import ENCRYPTED_SECTIONS, Settings, complete

__all__ = ["reference", "undescribed"]

_ENCRYPTED = ", ".join(f"`{NAMESPACE}:{key}`" for key in ENCRYPTED_SECTIONS)
_CREDENTIALS = " and ".join(f"`{name}` ({what})" for keys in CREDENTIALS.values() for name, what in keys.items())
_PLAIN_NAMES = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    JsonValue: "any value",
    IPv4Address: "IPv4 address",
}

_INTRODUCTION = f"""\
# Configuration

One file per stack, `Pulumi.STACK.yaml`, under `config:`. Every key is read once, checked, and described below with
its type, its default and the requirement it comes from. Site values have no default. An absent section builds nothing
and needs no credential, plugin or import. This page is the output of `./factory config reference`.

`./factory config validate [FILE...]` prints every problem of the files, each with place, key, value, rule and fix,
and ends with status 2. Secrets that are still to be set are problems too, but for a stack that was never initialised
(without `encryptionsalt` or `secretsprovider`): it cannot hold any yet, so they are listed as `to do` and the status
is 0. `up` and `preview` refuse a missing secret always.

`pulumi:disable-default-providers: ["*"]` is required. Other namespaces are refused: a default provider's settings
would be ignored.

## Encrypted values

{_ENCRYPTED} are the only keys with encrypted values. Set one with

```sh
./factory pulumi STACK -- config set --secret --path secrets.webapp.API_KEY
./factory pulumi STACK -- config set --secret --path credentials.vault_token
```

Credentials are {_CREDENTIALS}.
They are never taken from the environment.

## How values are read

As the engine reads them: only `true` and `false` are booleans, `yes` is a word, `22:30` is a word. Duplicate keys,
aliases, tags, unquoted dates and numbers with a leading zero are refused, because readers disagree about them.

## Where documented keys went

| documented | here |
| --- | --- |
| `lab:environment` | `factory:environment` |
| `lab:sandboxMode` | `factory:sandbox.mode`, or `factory:backends: embedded` |
| `sandbox:stateUrl`, `:targetRevision`, `:throwawayZones`, `:backupTarget` | `factory:sandbox` |
| `sandbox:giteaOrg` | `factory:platform.organization` of the sandbox |
| `sandbox:vaultAddress`, `sandbox:pgHost` | `factory:vault.address`, `factory:postgres.host` of the sandbox |
| `sandbox:unsealKeysPath`, `vault:unsealKeysPath` | `factory:unseal_keys_path` |
| `vault:*Mount` | `factory:platform.vault.mounts` |
| `i_mean_prod` | `factory:i_mean_prod` |
"""


def reference() -> str:
    """Every key, section by section, as Markdown."""
    parts = [_INTRODUCTION, "## Keys\n", _table(complete()), ""]
    for name, field in Settings.model_fields.items():
        model = _model_in(field.annotation)
        if model is not None:
            parts += _section(f"{NAMESPACE}:{name}{_suffix(field.annotation)}", model)
    return "\n".join(parts).rstrip() + "\n"


def undescribed() -> list[str]:
    """Find keys without a description or a source; a reference with holes is not one."""
    models: list[type[BaseModel]] = [complete()]
    found: list[str] = []
    for model in models:
        for name, field in model.model_fields.items():
            inner = _model_in(field.annotation)
            if inner is not None and inner not in models:
                models.append(inner)
            extra = field.json_schema_extra
            if not (field.description and isinstance(extra, dict) and extra.get("source")):
                found.append(f"{model.__name__}.{name}")
    return found


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## `{path}`\n"
    yield f"{' '.join((model.__doc__ or '').split())}\n"
    yield _table(model)
    yield ""
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _section(f"{path}.{name}{_suffix(field.annotation)}", inner)


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | type | default | meaning | source |", "| --- | --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        cells = (
            f"`{name}`",
            _kind(model, name, field),
            _default(field),
            " ".join((field.description or "").split()),
            str(extra.get("source", "")),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _kind(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    if model is Settings and name in ENCRYPTED_SECTIONS:
        return "map of encrypted text"  # the model holds which keys there are, never a value
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return _type(field.annotation, str(extra.get("unit", "")))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{_plain(value)}`"


def _plain(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | set | frozenset):
        items = [_plain(item) for item in value]
        return f"[{', '.join(items if isinstance(value, tuple | list) else sorted(items))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _type(annotation: object, unit: str) -> str:
    members = [member for member in _members(annotation) if member is not type(None)]
    text = " or ".join(_name(member) for member in members)
    return f"{text} ({unit})" if unit else text


def _name(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if origin in {tuple, frozenset, set, list}:
        return f"list of {_type(arguments[0], '')}"
    if origin is dict:
        return f"map of {_type(arguments[1], '')}"
    return _PLAIN_NAMES[annotation]


def _suffix(annotation: object) -> str:
    """How the entries of a map or list of sections are written in a key path."""
    origins = {get_origin(member) for member in _members(annotation)}
    return ".NAME" if dict in origins else "[]" if tuple in origins else ""


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Find the model a field holds, also as the values of a map or the items of a list."""
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
        arguments = [argument for argument in get_args(member) if argument is not Ellipsis]
        if get_origin(member) in {dict, tuple} and (found := _model_in(arguments[-1])) is not None:
            return found
    return None


def _members(annotation: object) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation
