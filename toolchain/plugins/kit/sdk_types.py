"""The input types of an official Python SDK, as installed: what a resource, a function and the provider accept.

An SDK takes longer to import than to do all the rest of a run that changes nothing, and what is read of it is the same
until another version is installed. So each type that was read is kept as plain data in the user's cache.
"""

import contextlib
import enum
import functools
import hashlib
import importlib
import importlib.metadata
import inspect
import json
import os
import pathlib
import re
import threading
import types
import typing
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi import _types as sdk
from pulumi.runtime.rpc import _RESOURCE_MODULES  # what the SDKs register; there is no public list

from toolchain.errors import ToolError
from toolchain.paths import cache_dir

from .handler import Failure
from .shapes import Shape, Type, did_you_mean
from .values import Properties, Value, decode

_IMPORTS = threading.RLock()
"""The SDKs import their modules when first used, and half-imported ones are visible to other threads."""
_KINDS: Mapping[typing.Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object"}
_FORMS: Mapping[typing.Any, str] = {Mapping: "map", dict: "map", Sequence: "list", list: "list"}
_NOTHING = "value of a type of its own"
"""Of which nothing else is known: no value has it."""
_PROVIDER = "provider"


class InputTypes:
    """The input types of one SDK package, e.g. ``InputTypes("pulumi_postgresql")``.

    Each method returns all failures at once; an unknown token or property is named, with the nearest known name.
    Unknown values fit any type. ``None`` counts as absent.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self._shapes: dict[str, Shape] = {}

    def resource(self, token: str, inputs: Properties) -> list[Failure]:
        """Failures of a resource's inputs: token, property names (also nested), types, required ones missing."""
        with _IMPORTS:
            shape = self._shape(token, self._resource_class)
            if shape is None:
                return [Failure("", f"{self.package} has no resource {token}{did_you_mean(token, self._resources)}")]
        return shape.failures(inputs, token)

    def function(self, token: str, arguments: Properties) -> list[Failure]:
        """Failures of a function's arguments."""
        with _IMPORTS:
            function = self._function(token)
            if function is None:
                return [Failure("", f"{self.package} has no function {token}")]
            hints = {_camel(name): hint for name, hint in typing.get_type_hints(function).items() if name != "return"}
            hints.pop("opts", None)
            shape = _Reader().shape(token, hints)
        return shape.failures(arguments, token)

    def config(self, config: Properties) -> list[Failure]:
        """Failures of the provider's own configuration, as :meth:`parse_config` returned it."""
        return self._provider_shape.failures(config, f"the provider of {self.package}")

    def parse_config(self, config: Properties) -> Properties:
        """Read configuration values from the JSON text in which Pulumi hands over everything but strings."""
        shape = self._provider_shape
        known = shape.properties[shape.root]
        return {key: value if known.get(key) == "string" else _from_json(value) for key, value in config.items()}

    @property
    def _provider_shape(self) -> Shape:
        with _IMPORTS:
            return self._shape(_PROVIDER, self._provider_class)

    @typing.overload
    def _shape(self, name: str, find: Callable[[str], type]) -> Shape: ...

    @typing.overload
    def _shape(self, name: str, find: Callable[[str], type | None]) -> Shape | None: ...

    def _shape(self, name: str, find: Callable[[str], type | None]) -> Shape | None:
        """Return what is known of a class by this name: here, in the cache, or read of the SDK."""
        if name in self._shapes:
            return self._shapes[name]
        kept = self._kept / f"{urllib.parse.quote(name, safe='')}.json" if self._kept else None
        shape = _load(kept) if kept else None
        if shape is None:
            cls = find(name)
            if cls is None:
                return None
            shape = _Reader().of_class(cls)
            if kept:
                _keep(kept, shape)
        self._shapes[name] = shape
        return shape

    @functools.cached_property
    def _kept(self) -> pathlib.Path | None:
        """Where the types of this version are kept, as this module reads them; None if there is no place for it."""
        reader = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:12]
        with contextlib.suppress(ToolError):
            return cache_dir() / "sdk-types" / f"{self.package}-{importlib.metadata.version(self.package)}-{reader}"
        return None

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

    def _provider_class(self, _name: str) -> type:
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


class _Reader:
    """Reads classes of arguments, and the classes of their properties, of an SDK."""

    def __init__(self) -> None:
        self._properties: dict[str, dict[str, Type]] = {}
        self._required: dict[str, list[str]] = {}

    def of_class(self, cls: type) -> Shape:
        """Read a class."""
        return Shape(self._class(cls), self._properties, self._required)

    def shape(self, name: str, hints: Mapping[str, typing.Any]) -> Shape:
        """Read what has these type hints, and needs no value."""
        self._members(name, hints, ())
        return Shape(name, self._properties, self._required)

    def _class(self, cls: type) -> str:
        name = f"{cls.__module__}:{cls.__qualname__}"
        if name not in self._properties:
            self._properties[name] = {}  # there already for a class which has itself in it
            self._members(name, sdk.input_type_types(cls), _required(cls))
        return name

    def _members(self, name: str, hints: Mapping[str, typing.Any], required: Iterable[str]) -> None:
        self._properties[name] = {key: self._type(hint) for key, hint in hints.items()}
        self._required[name] = list(required)

    def _type(self, hint: typing.Any) -> Type:  # noqa: ANN401 a type hint
        arguments, origin = typing.get_args(hint), typing.get_origin(hint)
        if hint is typing.Any:
            return None
        if origin in (typing.Union, types.UnionType):
            # Not those which only make the type an ``Input`` (awaitable, output).
            plain = [each for each in arguments if typing.get_origin(each) not in (Awaitable, pulumi.Output)]
            return {"any_of": [self._type(each) for each in plain if each is not types.NoneType]}
        if sdk.is_input_type(hint):
            return {"class": self._class(hint)}
        if origin in _FORMS:
            return {_FORMS[origin]: self._type(arguments[-1])}
        if origin is typing.Literal:
            return {"one_of": list(arguments)}
        return _plain(hint) if isinstance(hint, type) else _NOTHING


def _plain(cls: type) -> Type:
    if issubclass(cls, enum.Enum):
        return {"one_of": [member.value for member in cls]}
    if issubclass(cls, pulumi.Asset | pulumi.Archive):
        return "asset" if issubclass(cls, pulumi.Asset) else "archive"
    return _KINDS.get(cls, _NOTHING)


def _required(cls: type) -> list[str]:
    """Return the Pulumi names of the arguments without a default."""
    names = sdk.input_type_py_to_pulumi_names(cls)
    parameters = inspect.signature(cls).parameters.values()
    return [names[each.name] for each in parameters if each.default is each.empty and each.name in names]


def _load(file: pathlib.Path) -> Shape | None:
    try:
        return Shape(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None  # not read yet, or cut off


def _keep(file: pathlib.Path, shape: Shape) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # it only saves time
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(asdict(shape)), "utf-8")
        fresh.replace(file)


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
