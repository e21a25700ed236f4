"""Input types as plain data, and values checked against them.

What a value may be is written as JSON: ``null`` for anything; the name of a kind (``"string"``); ``{"list": item}``,
``{"map": member}``, ``{"any_of": [...]}``, ``{"one_of": [value, ...]}``; or ``{"class": name}`` for an object whose
properties are told apart, once for all places where it occurs.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .diff import format_path
from .handler import Failure
from .values import UNKNOWN, Archive, Asset, Path, Properties, Value

Type: TypeAlias = Any
"""What a value may be, as JSON."""

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "asset": (Asset,),
    "archive": (Archive,),
}
_WORDS: Final = {"integer": "a whole number", "object": "an object", "asset": "an asset", "archive": "an archive"}


@dataclass(frozen=True)
class Shape:
    """The properties of an object, by class; ``root`` is the object's own."""

    root: str
    properties: Mapping[str, Mapping[str, Type]]
    required: Mapping[str, list[str]]

    def failures(self, value: Properties, owner: str) -> list[Failure]:
        """Everything that is wrong with an object; ``owner`` is what messages call it."""
        return list(self._object(self.root, value, (), owner))

    def _object(self, name: str, value: Mapping[str, Value], at: Path, owner: str) -> Iterator[Failure]:
        known = self.properties[name]
        for key, member in value.items():
            path = (*at, key)
            if key in known:
                yield from self._check(known[key], member, path, owner)
            else:
                reason = f"{owner} has no property {format_path(path)}{did_you_mean(key, known)}"
                yield Failure(format_path(path), reason)
        for key in self.required[name]:
            if value.get(key) is None:
                path = (*at, key)
                yield Failure(format_path(path), f"{owner} needs a value for {format_path(path)}")

    def _check(self, wanted: Type, value: Value, at: Path, owner: str) -> Iterator[Failure]:
        if value is UNKNOWN or value is None or wanted is None:
            return
        form: str
        inner: Type
        form, inner = next(iter(wanted.items())) if isinstance(wanted, dict) else (wanted, None)
        if form == "any_of":
            failures = [list(self._check(each, value, at, owner)) for each in inner]
            if all(failures):
                # The member which came furthest says best what is wrong.
                yield from max(failures, key=lambda found: max(len(failure.path) for failure in found), default=[])
        elif form == "class" and isinstance(value, Mapping):
            yield from self._object(inner, value, at, owner)
        elif form == "map" and isinstance(value, Mapping):
            for key, member in value.items():
                yield from self._check(inner, member, (*at, key), owner)
        elif form == "list" and isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._check(inner, item, (*at, index), owner)
        elif not (value in inner if form == "one_of" else _fits(form, value)):
            reason = f"{owner} wants {_describe(form, inner)} for {format_path(at)}, not {_kind(value)}"
            yield Failure(format_path(at), reason)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, if there is a near one."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _fits(kind: str, value: Value) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, ()))


def _describe(form: str, inner: Type) -> str:
    if form == "one_of":
        return " or ".join(map(repr, inner))
    return "an object" if form in {"class", "map"} else _WORDS.get(form, f"a {form}")


def _kind(value: Value) -> str:
    """Tell what a bad value is; never the value itself, which may be secret."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", Asset: "asset", Archive: "archive"}
    kind = kinds.get(type(value), "value")
    return _WORDS.get(kind, f"a {kind}")
