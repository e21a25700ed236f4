"""What of a live object is ours: the server's field ownership (``managedFields``) and the inputs we applied.

A live object holds more than was applied: defaults, status, other managers' fields. Only what we applied, or own, can
have drifted. The server's own bookkeeping (``FieldsV1``) also tells how lists are merged: by key, as sets, or whole.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from toolchain.plugins.kit import Value, compare

from .client import Object

Fields: TypeAlias = Mapping[str, Any]
"""A tree of FieldsV1: ``f:<name>`` a field, ``k:<json>`` a list item by key, ``v:<json>`` a set item, ``.`` itself."""

_NOTHING: Fields = {}


def owned(live: Object, manager: str | None) -> Fields:
    """Return the fields which this manager applied."""
    entries = live.get("metadata", {}).get("managedFields", [])
    applied = [e for e in entries if e.get("manager") == manager and e.get("operation") == "Apply"]
    return _union([entry.get("fieldsV1", {}) for entry in applied if not entry.get("subresource")])


def applied(live: Object, manager: str) -> Object | None:
    """Return the inputs with which this manager must have made the object; None if it owns nothing of it."""
    ours = owned(live, manager)
    if not ours:
        return None
    item: Object = _extract(live, ours)
    names = {key: live["metadata"][key] for key in ("name", "namespace") if key in live["metadata"]}
    identity = {key: live[key] for key in ("apiVersion", "kind")}
    return item | identity | {"metadata": item.get("metadata", {}) | names}


def shape(live: Object) -> Fields:
    """Return all fields which anybody owns: how the server merges each list and map."""
    return _union([entry.get("fieldsV1", {}) for entry in live.get("metadata", {}).get("managedFields", [])])


def same(one: Value, other: Value) -> bool:
    """Whether two values mean the same to the API server."""
    return next(compare(one, other), None) is None


def project(wanted: Value, live: Value, form: Fields, ours: Fields) -> Value:
    """Reduce a live value to what we wanted of it and what we own of it, in the order in which we wanted it.

    ``form`` and ``ours`` are :func:`shape` and :func:`owned` at this place. A value which the server treats as one
    (atomic) is taken whole.
    """
    if isinstance(wanted, dict) and isinstance(live, dict):
        result = {
            key: _member(value, live[key], form, ours, f"f:{key}") for key, value in wanted.items() if key in live
        }
        extra = [m[2:] for m in ours if m.startswith("f:") and m[2:] not in wanted and m[2:] in live]
        return result | {key: _extract(live[key], ours[f"f:{key}"]) for key in extra}
    if isinstance(wanted, list) and isinstance(live, list):
        if any(marker.startswith("k:") for marker in form):
            return _keyed(wanted, live, form, ours)
        if any(marker.startswith("v:") for marker in form):
            mine = [value for value in live if _marker("v:", value) in ours and value not in wanted]
            return [value for value in wanted if value in live] + mine
        paired = [project(w, v, _NOTHING, _NOTHING) for w, v in zip(wanted, live, strict=False)]
        return paired + live[len(wanted) :]
    return live


def settle(wanted: Value, seen: Value, rendered: Value) -> Value:
    """Tell real differences from the server's own way of writing.

    ``seen`` is what is there, ``rendered`` what the server makes of ``wanted``: where they agree, nothing has drifted
    and the value is given as it was wanted.
    """
    if same(seen, wanted) or same(seen, rendered):
        return wanted
    if isinstance(wanted, dict) and isinstance(seen, dict) and isinstance(rendered, dict):
        result = {}
        for key in [*wanted, *(k for k in seen if k not in wanted)]:
            before, now, made = wanted.get(key), seen.get(key), rendered.get(key)
            value = settle(before, now, made)
            if value is not None:
                result[key] = value
        return result
    lists = isinstance(wanted, list) and isinstance(seen, list) and isinstance(rendered, list)
    if lists and len(wanted) == len(seen) == len(rendered):
        return [settle(w, s, r) for w, s, r in zip(wanted, seen, rendered, strict=True)]
    return seen


def _member(wanted: Value, live: Value, form: Fields, ours: Fields, marker: str) -> Value:
    if marker in form and not form[marker]:
        return live
    return project(wanted, live, form.get(marker, _NOTHING), ours.get(marker, _NOTHING))


def _keyed(wanted: list[Any], live: list[Any], form: Fields, ours: Fields) -> list[Any]:
    keys = {marker: json.loads(marker[2:]) for marker in form if marker.startswith("k:")}
    names = {name for key in keys.values() for name in key}
    left = list(live)
    result = []
    for item in wanted:
        match = next((v for v in left if _matches(item, v, names)), None)
        if match is not None:
            left.remove(match)
            marker = next((m for m, key in keys.items() if _matches(key, match, names)), "")
            result.append(project(item, match, form.get(marker, _NOTHING), ours.get(marker, _NOTHING)))
    mine = [(v, m) for v in left for m, key in keys.items() if m in ours and _matches(key, v, names)]
    return result + [_extract(value, ours[marker]) for value, marker in mine]


def _matches(partial: Value, item: Value, names: set[str]) -> bool:
    """Whether an item has these key fields; one which is left out (a default) fits any."""
    if not isinstance(partial, dict) or not isinstance(item, dict):
        return False
    given = {name: partial[name] for name in names if name in partial}
    return bool(given) and all(same(item.get(name), value) for name, value in given.items())


def _extract(live: Value, ours: Fields) -> Value:
    """Take the part of a value which we own; a leaf is taken whole."""
    if not ours:
        return live
    if isinstance(live, dict):
        return {m[2:]: _extract(live[m[2:]], below) for m, below in ours.items() if m[:2] == "f:" and m[2:] in live}
    if isinstance(live, list):
        keys = {marker: json.loads(marker[2:]) for marker in ours if marker.startswith("k:")}
        items = [(v, m) for v in live for m, key in keys.items() if _matches(key, v, set(key))]
        return [_extract(v, ours[m]) for v, m in items] + [v for v in live if _marker("v:", v) in ours]
    return live


def _marker(prefix: str, value: Value) -> str:
    return prefix + json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _union(trees: list[Fields]) -> Fields:
    result: dict[str, Any] = {}
    for tree in trees:
        for marker, below in tree.items():
            result[marker] = _union([result[marker], below]) if marker in result else below
    return result
