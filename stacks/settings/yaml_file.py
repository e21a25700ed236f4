"""A stack file (`Pulumi.<stack>.yaml`) read without the engine: values, positions, and every mistake of its notation.

Scalars are read as the engine reads them (YAML 1.2: only `true` and `false` are booleans). Notations on which readers
disagree, or which `pulumi config set` would not keep, are refused: duplicate keys, aliases, tags, unquoted dates,
numbers with a leading zero. Encrypted values are recognised and never decrypted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError

from .problems import NAMESPACE, Path, Problem, SettingsError, did_you_mean, key_path

_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_STR = "tag:yaml.org,2002:str"

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([Tt ].*)?\Z")
_LEADING_ZERO = re.compile(r"[-+]?0\d+\Z")
_SECURE = "secure"
_STACK_KEYS = frozenset({"config", "encryptionsalt", "secretsprovider", "encryptedkey"})
_DEFAULT_PROVIDERS = "pulumi:disable-default-providers"


@dataclass(frozen=True)
class Encrypted:
    """A value that stands encrypted in the file."""


@dataclass(frozen=True)
class Position:
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass
class StackFile:
    """What a stack file says: the values of our namespace by key, where each stands, and the mistakes of notation."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    positions: dict[Path, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    initialised: bool = False
    """Whether the file names what encrypts its secrets, so that secrets can be set."""

    def position(self, path: Path) -> Position | None:
        """Find the place of a key, or of the nearest key above it."""
        for length in range(len(path), 0, -1):
            if found := self.positions.get(path[:length]):
                return found
        return None


class _Loader(Composer, yaml.CSafeLoader):
    """A composer with the scalars of YAML 1.2, as the engine's own reader has them; libyaml does the slow part."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - declared so by PyYAML

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases: `pulumi config set` rewrites the file and does not keep them."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            problem = f"alias *{event.anchor} is not supported here"
            raise ComposerError(None, None, problem, event.start_mark)  # type: ignore[arg-type]  # libyaml's mark
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    (_BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_NULL, r"~|null|Null|NULL|", "~nN\0"),
    (_INT, r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o[0-7_]+)", "-+0123456789"),
    (
        _FLOAT,
        r"[-+]?(\.\d+|\d+\.\d*)([eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), [*(c if c != "\0" else "" for c in _first)])


def read(file: FilePath) -> StackFile:
    """Read a stack file; raises SettingsError only when it cannot be read at all, other mistakes are in `problems`."""
    name = file.name
    if file.is_fifo():
        raise _unreadable(file, "it is a pipe")  # which would be waited for
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        raise _unreadable(file, str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            [Problem(name, "", f"is not UTF-8 text (byte {error.start})", "Save it as UTF-8")]
        ) from error
    return parse(text, name)


def _unreadable(file: FilePath, why: str) -> SettingsError:
    return SettingsError(
        [Problem(str(file), "", f"cannot be read: {why}", "Put a stack file there, or give another path")]
    )


@lru_cache(maxsize=32)
def parse(text: str, name: str) -> StackFile:
    """Parse the text of a stack file named `name` in messages. Raises SettingsError for malformed YAML.

    A command asks for the same few files several times, and to parse them takes longer than to validate them; what is
    returned is shared and not to be changed.
    """
    try:
        documents = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        raise SettingsError([_malformed(name, error)]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError(
            [Problem(name, "", f"malformed YAML: {_one_line(error)}", "Correct the notation")]
        ) from error
    stack = StackFile(name)
    if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
        rule = "a stack file is one YAML document with a mapping"
        raise SettingsError(
            [Problem(name, "", rule, "Begin with a line `config:`; `./factory init NAME` writes a file")]
        )
    _Reader(stack).document(documents[0])
    return stack


class _Reader:
    """Turns the nodes of one file into values, noting positions and problems."""

    def __init__(self, stack: StackFile) -> None:
        self.stack = stack

    def document(self, root: yaml.MappingNode) -> None:
        """Read the outermost mapping."""
        entries = self._entries(root, ())
        self.stack.initialised = bool({"encryptionsalt", "secretsprovider"} & set(entries))
        for key, (key_node, value_node) in entries.items():
            if key not in _STACK_KEYS:
                self._refuse(key_node, key, "unknown key of a stack file", did_you_mean(key, _STACK_KEYS))
            elif key == "config":
                self._config(value_node)

    def _config(self, node: yaml.Node) -> None:
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, "config", "must be a mapping of keys", f"Write `{NAMESPACE}:KEY: VALUE` lines below it")
            return
        default_providers: object = None
        for key, (key_node, value_node) in self._entries(node, ()).items():
            namespace, _, name = key.partition(":")
            if namespace == NAMESPACE and name:
                self.stack.positions[(name,)] = _position(key_node)
                self.stack.values[name] = self._value(value_node, (name,))
            elif key == _DEFAULT_PROVIDERS:
                default_providers = self._value(value_node, (key,))
            elif namespace != "pulumi":
                hint = (
                    f"Did you mean `{NAMESPACE}:{key}`?" if not name else f"Settings stand below `{NAMESPACE}:` alone"
                )
                self._refuse(key_node, key, f"only keys of the namespace `{NAMESPACE}` are read (POL-33)", hint)
        if default_providers != ["*"]:
            self._refuse(
                node,
                _DEFAULT_PROVIDERS,
                "default providers must be disabled: they would take addresses from the environment (POL-33)",
                f'Write `{_DEFAULT_PROVIDERS}: ["*"]` below `config:`',
            )

    def _entries(self, node: yaml.MappingNode, path: Path) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            where = key_path(path) if path else "config"
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in {_STR, _INT, _BOOL, _NULL, _FLOAT}:
                self._refuse(key_node, where, "a key must be plain text", "Write the key as a word")
                continue
            key = key_node.value
            if key in entries:
                first = _position(entries[key][0])
                subject = key_path((*path, key)) if path else key
                self._refuse(
                    key_node, subject, f"duplicate key, first written in line {first.line}", "Keep one of the two"
                )
                continue
            entries[key] = (key_node, value_node)
        return entries

    def _value(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 - the value of any YAML node
        if isinstance(node, yaml.MappingNode):
            if [key.value for key, _ in node.value] == [_SECURE] and isinstance(node.value[0][1], yaml.ScalarNode):
                return Encrypted()
            result = {}
            for key, (key_node, value_node) in self._entries(node, path).items():
                self.stack.positions[(*path, key)] = _position(key_node)
                result[key] = self._value(value_node, (*path, key))
            return result
        if isinstance(node, yaml.SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                self.stack.positions[(*path, index)] = _position(item)
                items.append(self._value(item, (*path, index)))
            return items
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Path) -> str | int | float | bool | None:
        text: str = node.value
        if node.tag == _BOOL:
            return text.lower() == "true"
        if node.tag == _NULL:
            return None
        try:
            if node.tag == _INT:
                return int(text.replace("_", ""), 0)
            if node.tag == _FLOAT:
                return float(text.replace("_", ""))
        except ValueError:
            self._refuse(node, key_path(path), f"is no number: {text[:40]}", "Write a plain one, or quote the text")
            return text
        if node.tag != _STR:
            self._refuse(node, key_path(path), "YAML tags are not read", "Write the plain value")
        elif isinstance(node, yaml.ScalarNode) and not node.style and (_DATE.match(text) or _LEADING_ZERO.match(text)):
            self._refuse(node, key_path(path), "YAML readers disagree about this value", f'Quote it: "{text}"')
        return text

    def _refuse(self, node: yaml.Node, subject: str, rule: str, fix: str) -> None:
        place = _position(node)
        self.stack.problems.append(Problem(self.stack.name, subject, rule, fix, line=place.line, column=place.column))


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _malformed(name: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    rule = f"malformed YAML: {_one_line(error.problem or error.context)}"
    fix = "Correct the notation: two blanks per level, no tabs, quotes closed"
    return Problem(name, "", rule, fix, line=mark.line + 1 if mark else None, column=mark.column + 1 if mark else None)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
