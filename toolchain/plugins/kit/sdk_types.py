"""The input types of an official Python SDK, as installed: what a resource, a function and the provider accept."""

import difflib
import enum
import functools
import importlib
import inspect
import re
import threading
import types
import typing
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi import _types as sdk
from pulumi.runtime.rpc import _RESOURCE_MODULES  # what the SDKs register; there is no public list

from .diff import format_path
from .handler import Failure
from .values import UNKNOWN, Archive, Asset, Path, Properties, Value, decode

_IMPORTS = threading.RLock()
"""The SDKs import their modules when first used, and half-imported ones are visible to other threads."""
_KINDS = {str: "a string", bool: "a boolean", int: "a whole number", float: "a number"}


class InputTypes:
    """The input types of one SDK package, e.g. ``InputTypes("pulumi_postgresql")``.

    Each method returns all failures at once; an unknown token or property is named, with the nearest known name.
    Unknown values fit any type. ``None`` counts as absent.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    def resource(self, token: str, inputs: Properties) -> list[Failure]:
        """Failures of a resource's inputs: token, property names (also nested), types, required ones missing."""
        with _IMPORTS:
            cls = self._resource_class(token)
            if cls is None:
                return [Failure("", f"{self.package} has no resource {token}{_did_you_mean(token, self._resources)}")]
            return list(_object(cls, inputs, (), token))

    def function(self, token: str, arguments: Properties) -> list[Failure]:
        """Failures of a function's arguments."""
        with _IMPORTS:
            function = self._function(token)
            if function is None:
                return [Failure("", f"{self.package} has no function {token}")]
            hints = {_camel(name): hint for name, hint in typing.get_type_hints(function).items() if name != "return"}
            hints.pop("opts", None)
            return list(_members(hints, (), arguments, (), token))

    def config(self, config: Properties) -> list[Failure]:
        """Failures of the provider's own configuration, as :meth:`parse_config` returned it."""
        with _IMPORTS:
            return list(_object(self._provider_class, config, (), f"the provider of {self.package}"))

    def parse_config(self, config: Properties) -> Properties:
        """Read configuration values from the JSON text in which Pulumi hands over everything but strings."""
        with _IMPORTS:
            hints = sdk.input_type_types(self._provider_class)
        return {key: value if hints.get(key) is str else _from_json(value) for key, value in config.items()}

    @functools.cached_property
    def _resources(self) -> Mapping[str, str]:
        """The module which holds the class, by token."""
        importlib.import_module(self.package)
        return {
            token: f"{info['fqn']}:{name}"
            for modules in _RESOURCE_MODULES.values()
            for info in (getattr(module, "mod_info", None) for module in modules)
            if info and info["fqn"].split(".")[0] == self.package
            for token, name in info["classes"].items()
        }

    @functools.cached_property
    def _provider_class(self) -> type:
        provider: type = importlib.import_module(f"{self.package}.provider").ProviderArgs
        return provider

    def _resource_class(self, token: str) -> type | None:
        """Find the class of arguments of a resource: it stands in the resource's own module."""
        if token not in self._resources:
            return None
        module, _, name = self._resources[token].partition(":")
        own = inspect.getmodule(getattr(importlib.import_module(module), name))
        # A resource whose nested type already has the name XArgs has its own arguments in XInitArgs.
        arguments: type = getattr(own, f"{name}InitArgs", None) or getattr(own, f"{name}Args")
        return arguments

    def _function(self, token: str) -> typing.Any | None:  # noqa: ANN401 any function of the SDK
        _, module, name = token.split(":")
        module = module.split("/")[0].replace("index", "")
        try:
            found = importlib.import_module(".".join(filter(None, [self.package, module])))
        except ImportError:
            return None
        function = getattr(found, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), None)
        return function if inspect.isfunction(function) else None


def _object(cls: type, value: Properties, at: Path, owner: str) -> Iterator[Failure]:
    required = _required(cls)
    return _members(sdk.input_type_types(cls), required, value, at, owner)


@functools.cache
def _required(cls: type) -> tuple[str, ...]:
    """Return the Pulumi names of the arguments without a default."""
    names = sdk.input_type_py_to_pulumi_names(cls)
    parameters = inspect.signature(cls).parameters.values()
    return tuple(names[each.name] for each in parameters if each.default is each.empty and each.name in names)


def _members(
    hints: Mapping[str, typing.Any], required: Iterable[str], value: Properties, at: Path, owner: str
) -> Iterator[Failure]:
    for name, member in value.items():
        path = (*at, name)
        if name in hints:
            yield from _check(hints[name], member, path, owner)
        else:
            yield Failure(format_path(path), f"{owner} has no property {format_path(path)}{_did_you_mean(name, hints)}")
    for name in required:
        if value.get(name) is None:
            path = (*at, name)
            yield Failure(format_path(path), f"{owner} needs a value for {format_path(path)}")


def _check(hint: typing.Any, value: Value, at: Path, owner: str) -> Iterator[Failure]:  # noqa: ANN401 a type hint
    """Yield the failures of one value against one type hint."""
    if value is UNKNOWN or value is None or hint is typing.Any:
        return
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        yield from _check_union(typing.get_args(hint), value, at, owner)
    elif sdk.is_input_type(hint) and isinstance(value, Mapping):
        yield from _object(hint, dict(value), at, owner)
    elif origin in (Mapping, dict) and isinstance(value, Mapping):
        for key, member in value.items():
            yield from _check(typing.get_args(hint)[1], member, (*at, key), owner)
    elif origin in (Sequence, list) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check(typing.get_args(hint)[0], item, (*at, index), owner)
    elif not _fits(hint, value):
        yield Failure(format_path(at), f"{owner} wants {_describe(hint)} for {format_path(at)}, not {_kind(value)}")


def _check_union(members: Sequence[typing.Any], value: Value, at: Path, owner: str) -> Iterator[Failure]:
    """Try each member, but not those which only make the type an ``Input`` (awaitable, output)."""
    plain = [each for each in members if typing.get_origin(each) not in (Awaitable, pulumi.Output)]
    failures = [list(_check(each, value, at, owner)) for each in plain if each is not types.NoneType]
    if all(failures):
        # The member which came furthest says best what is wrong.
        yield from max(failures, key=lambda found: max(len(failure.path) for failure in found), default=[])


def _fits(hint: typing.Any, value: Value) -> bool:  # noqa: ANN401 a type hint
    choices = _choices(hint)
    if choices is not None:
        return value in choices
    if not isinstance(hint, type):
        return False
    if issubclass(hint, pulumi.Asset | pulumi.Archive):
        return isinstance(value, Asset if issubclass(hint, pulumi.Asset) else Archive)
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    return hint in (str, int, dict) and isinstance(value, hint)


def _choices(hint: typing.Any) -> list[Value] | None:  # noqa: ANN401 a type hint
    """Return the only values which a type has, if they are few."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return [member.value for member in hint]
    return None


def _describe(hint: typing.Any) -> str:  # noqa: ANN401 a type hint
    if hint in _KINDS:
        return _KINDS[hint]
    choices = _choices(hint)
    if choices is not None:
        return " or ".join(map(repr, choices))
    if typing.get_origin(hint) in (Sequence, list):
        return "a list"
    if isinstance(hint, type) and issubclass(hint, pulumi.Asset | pulumi.Archive):
        return "an asset" if issubclass(hint, pulumi.Asset) else "an archive"
    return "an object"


def _kind(value: Value) -> str:
    """Tell what a bad value is; never the value itself, which may be secret."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, Asset | Archive):
        return "an asset" if isinstance(value, Asset) else "an archive"
    return _KINDS.get(type(value), "a value") if not isinstance(value, float) else "a number"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _from_json(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    try:
        wire = json_format.Parse(f'{{"value": {value}}}', struct_pb2.Struct())
    except json_format.ParseError:
        return value  # the type check will say what it should have been
    properties, _ = decode(wire)
    return properties.get("value")
