"""The answer to ``read``: what differs from the document, in the document's own shape."""

from __future__ import annotations

import base64
import os

from . import edit_merge, names, rendering
from .facts import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .host import Host
    from .plan import Action, Planning

SHOWN = 256 * 1024
"""Bytes of content that are shown; of longer ones the hash."""


def drift(host: Host, planning: Planning) -> dict[str, dict[str, Any]]:
    """Tell what differs: a missing item is None, otherwise the differing fields with their real values."""
    found: dict[str, dict[str, Any]] = {}
    for action in planning.actions:
        kind, _, key = action.item.partition(":")
        if key not in planning.wanted(kind) or action.do in ("restart", "reload", "maybe"):
            continue
        if action.do in ("create", "run"):
            found.setdefault(kind, {})[key] = None
        elif action.do == "delete":
            found.setdefault(kind, {})[key] = {"state": "present"}
        else:
            found.setdefault(kind, {}).setdefault(key, {})
            real = _real(host, planning, action, planning.wanted(kind)[key])
            if found[kind][key] is not None:
                found[kind][key].update(real)
    return found


def _real(host: Host, planning: Planning, action: Action, entry: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, key = action.item.partition(":")
    before = {field: values[0] for field, values in action.changes.items()}
    if kind == "files" and "content" in before:
        before.pop("content")
        return {**before, **_content(host, key, action.changes["content"][0])}
    if kind == "repositories":
        return _content(host, names.repository_path(key), "")
    if kind == "merges":
        return {"values": _merged(planning.file(key)["text"], entry)}
    if kind == "authorized_keys":
        return {"keys": _keys((planning.fact(kind, key) or {}).get("text") or "", entry)}
    if kind == "mounts" and "options" in before:
        options = before.pop("options").split(",")
        before.update(options=[each for each in options if each != "nofail"], nofail="nofail" in options)
    return _unit(host, key, before, entry) if kind == "units" else before


def _merged(text: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Show what a foreign file has at the keys that the document names."""
    real = edit_merge.load(text, entry["format"])
    wanted = [*edit_merge.leaves(entry.get("values", {})), *(tuple(path) for path in entry.get("absent", ()))]
    found: dict[str, Any] = {}
    for path in wanted:
        if edit_merge.holds(real, path):
            part = found
            for step in path[:-1]:
                part = part.setdefault(step, {})
            part[path[-1]] = edit_merge.lookup(real, path)
    return found


def _keys(text: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Show the lines that the document names, and all others only where it wants none."""
    wanted = {line: name for name, line in entry.get("keys", {}).items()}
    lines = [line for line in text.splitlines() if line.strip()]
    shown = {wanted.get(line, f"line-{number}"): line for number, line in enumerate(lines, 1)}
    return {name: line for name, line in shown.items() if entry.get("exclusive") or line in wanted}


def _unit(host: Host, name: str, before: dict[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    if "unit" in before:
        before["unit"] = _sections(host, names.unit_path(name))
    drop_ins = dict(entry.get("drop_ins", {}))
    for field in [field for field in before if field.startswith("drop_ins.")]:
        del before[field]
        drop_in = field.partition(".")[2]
        real = _sections(host, names.drop_in_path(name, drop_in))
        if real is None:
            drop_ins.pop(drop_in, None)
        else:
            drop_ins[drop_in] = real
        before["drop_ins"] = drop_ins
    return before


def _sections(host: Host, path: str) -> dict[str, Any] | None:
    text = host.read(path)
    return None if text is None else rendering.sections(text)


def _content(host: Host, path: str, shown_hash: str) -> dict[str, Any]:
    """Show a content: a secret's keyed hash, a long one's hash, else text, else base64."""
    if shown_hash.startswith("hmac:"):
        return {"content_hmac": shown_hash[5:]}
    place = host.path(path)
    size = os.stat(place).st_size
    if size > SHOWN:
        return {"content_sha256": shown_hash.partition(":")[2]}
    text = text_of(place, size, SHOWN)
    if text is not None:
        return {"content": text}
    with open(place, "rb") as file:
        return {"content_base64": base64.b64encode(file.read(SHOWN)).decode()}
