"""Pure edits of keys in JSON and INI files that belong to somebody else.

Each takes the old text (None: no file) and gives the new one; a file that already says so stays byte by byte. What does
not parse is refused with the place of the mistake, never repaired (DOCKER-09, DOCKER-11, SYS-12).
"""

from __future__ import annotations

from .errors import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def merge(text: str | None, notation: str, values: Mapping[str, Any], absent: Sequence[Sequence[str]] = ()) -> str:
    """Set and remove keys. Maps are merged key by key, every other value is replaced."""
    if notation == "ini":
        return _merge_ini(text or "", values, absent)
    import json  # here, as below: most documents merge nothing, and its import is slow

    old = load(text, notation)
    new = _without(_merged(old, values), absent)
    # An unchanged meaning keeps the file's own spelling.
    return (
        text
        if text is not None and text.strip() and json.dumps(new) == json.dumps(old)
        else f"{json.dumps(new, indent=2)}\n"
    )


def load(text: str | None, notation: str) -> dict[str, Any]:
    """Read a file as nested maps; an empty one is an empty map. Raises Refusal for garbage."""
    if notation == "ini":
        return _Ini(text or "").values()
    if text is None or not text.strip():
        return {}
    import json

    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except ValueError as error:
        raise Refusal(f"it is not JSON ({error}): repair it by hand") from error
    if not isinstance(value, dict):
        raise Refusal(f"its top is not a JSON object but {_named(value)}: repair it by hand")
    return value


def leaves(values: Mapping[str, Any], at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """List the key paths of all values that are no maps (an empty map is a value)."""
    found = []
    for key in sorted(values):
        value = values[key]
        found += leaves(value, (*at, key)) if isinstance(value, dict) and value else [(*at, key)]
    return found


def lookup(values: Any, path: Sequence[str]) -> Any:
    """Give what stands at a key path; raises KeyError for nothing."""
    for key in path:
        if not isinstance(values, dict):
            raise KeyError(key)
        values = values[key]
    return values


def holds(values: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether anything stands at a key path."""
    try:
        lookup(values, path)
    except KeyError:
        return False
    return True


def _merged(old: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    new = dict(old)
    for key in sorted(values):
        value, before = values[key], old.get(key)
        if isinstance(value, dict):
            new[key] = _merged(before if isinstance(before, dict) else {}, value)
        elif key not in old or not _same(before, value):
            new[key] = value
    return new


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does: ``true`` is not ``1``, and ``1.0`` is ``1``."""
    if type(one) in (int, float) and type(other) in (int, float):
        return bool(one == other)
    import json

    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _without(values: dict[str, Any], absent: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Remove key paths, and the maps that become empty by it."""
    new = dict(values)
    for path in absent:
        first, rest = path[0], path[1:]
        if not rest:
            new.pop(first, None)
        elif isinstance(new.get(first), dict) and holds(new, path):
            new[first] = _without(new[first], [rest])
            if not new[first]:
                del new[first]
    return new


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else []
    if twice:
        raise Refusal(f"it has the key {twice[0]!r} twice in one object: leave one")
    return dict(pairs)


def _named(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "null")


class _Ini:
    """The lines of an INI file, each with its section and key where it has them."""

    def __init__(self, text: str) -> None:
        self.lines: list[tuple[str, str | None, str]] = []
        section = ""
        seen: set[tuple[str, str]] = set()
        for number, line in enumerate(text.splitlines(), 1):
            stripped = line.strip()
            if stripped.startswith("[") and stripped.endswith("]"):
                section = stripped[1:-1].strip()
            elif stripped and stripped[0] not in "#;":
                key, equals, _ = stripped.partition("=")
                if not equals or not key.strip() or line[0] in " \t":
                    raise Refusal(f"line {number} is neither a section, a comment nor 'key = value': repair it by hand")
                if (section, key.strip()) in seen:
                    raise Refusal(f"line {number} gives {key.strip()!r} a second time in [{section}]: leave one")
                seen.add((section, key.strip()))
                self.lines.append((section, key.strip(), line))
                continue
            self.lines.append((section, None, line))

    def values(self) -> dict[str, Any]:
        """Give section to key to text."""
        found: dict[str, Any] = {}
        for section, key, line in self.lines:
            if key is not None:
                found.setdefault(section, {})[key] = line.partition("=")[2].strip()
        return found

    def _equals(self) -> str:
        """Write the sign as the file does: some programs take no spaces around it."""
        names = [line.partition("=")[0] for _, key, line in self.lines if key is not None]
        return "=" if any(name == name.rstrip() for name in names) else " = "

    def put(self, section: str, key: str, value: str) -> None:
        """Set a key: in its line, else at the end of its section, else in a new section at the end."""
        line = f"{key}{self._equals()}{value}".rstrip()
        last = None
        for number, (other, name, old) in enumerate(self.lines):
            if other == section:
                if name == key:
                    if old.partition("=")[2].strip() != value:
                        self.lines[number] = (section, key, line)
                    return
                if old.strip():
                    last = number
        if last is not None:
            self.lines.insert(last + 1, (section, key, line))
        elif section:
            self.lines += [(section, None, f"[{section}]"), (section, key, line)]
        else:
            self.lines.insert(0, (section, key, line))

    def drop(self, path: Sequence[str]) -> None:
        """Remove a key, or a whole section."""
        self.lines = [line for line in self.lines if line[0] != path[0] or (len(path) > 1 and line[1] != path[1])]

    def text(self) -> str:
        """Write it."""
        return "".join(f"{line}\n" for _, _, line in self.lines)


def _merge_ini(text: str, values: Mapping[str, Any], absent: Sequence[Sequence[str]]) -> str:
    ini = _Ini(text)
    before = ini.text()
    for section in sorted(values):
        for key in sorted(values[section]):
            ini.put(section, key, values[section][key])
    for path in absent:
        ini.drop(path)
    return text if ini.text() == before else ini.text()
