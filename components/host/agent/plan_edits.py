"""Planning blocks and merged keys: what is ours in foreign files."""

from __future__ import annotations

from . import edit_lines, edit_merge, names
from .errors import Refusal
from .plan import Planning, expect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def blocks(planning: Planning, name: str, entry: Mapping[str, Any]) -> None:
    """Plan lines of ours in a foreign file."""
    path, comment, content = entry["path"], entry.get("comment", "#"), entry.get("content", "")
    there = _foreign(planning, path)
    operations = [("edit", path, "block", {"name": name, "comment": comment, "content": content}, None)]
    if there is None:
        # A package or a step of this plan may bring the file; its content is looked at when the turn comes.
        if not planning.busy():
            raise Refusal(f"there is no file {path}: a block goes into a file that belongs to somebody else")
        planning.add(f"blocks:{name}", "create", {}, operations, owns={"path": path, "comment": comment})
        return
    old = there["text"]
    if edit_lines.block(old, name, comment, content) == old:
        return
    inside = edit_lines.block(old, name, comment, None) != old
    if inside:
        planning.add(f"blocks:{name}", "update", {"content": [_inside(old, name, comment), content]}, operations)
    else:
        planning.add(f"blocks:{name}", "create", {}, operations, owns={"path": path, "comment": comment})


def no_blocks(planning: Planning, name: str, entry: Mapping[str, Any]) -> None:
    """Plan the removal of a block, be it in the document as absent or left behind by an earlier one."""
    path, comment = entry["path"], entry.get("comment", "#")
    there = _foreign(planning, path)
    if there is None or edit_lines.block(there["text"], name, comment, None) == there["text"]:
        return
    arguments = {"name": name, "comment": comment, "content": None}
    planning.add(f"blocks:{name}", "delete", {}, [("edit", path, "block", arguments, None)], disowns=True)


def merges(planning: Planning, path: str, entry: Mapping[str, Any]) -> None:
    """Plan keys of ours in a foreign file. Keys that this resource added and no longer wants go."""
    notation, values = entry["format"], entry.get("values", {})
    there = _foreign(planning, path)
    wanted = edit_merge.leaves(values)
    before_us = planning.owned.get("merges", {}).get(path) or {}
    ours = [tuple(key) for key in before_us.get("keys", ())]
    absent = [tuple(key) for key in entry.get("absent", ())]
    absent += [key for key in ours if not any(key[: len(each)] == each[: len(key)] for each in wanted)]
    item, arguments = f"merges:{path}", {"notation": notation, "values": values, "absent": absent}
    operation = ("edit", path, "merge", arguments, _creating(entry))
    if there is None:
        if not entry.get("create", True) and not planning.busy():
            raise Refusal("the file is not there, and create is false: create it, or let a package bring it")
        owns = {"created": True, "format": notation, "keys": [list(key) for key in wanted]}
        planning.add(item, "create", {}, [operation], owns=owns)
        return
    old = there["text"]
    if edit_merge.merge(old, notation, values, absent) == old:
        if before_us:
            planning.owned["merges"][path] = {**before_us, "keys": [list(key) for key in wanted if key in ours]}
        return
    before = edit_merge.load(old, notation)
    changes = {}
    for key in wanted:
        value = edit_merge.lookup(values, key)
        real = edit_merge.lookup(before, key) if edit_merge.holds(before, key) else None
        if real != value or isinstance(real, bool) is not isinstance(value, bool):
            changes[".".join(key)] = [real, value]
    for key in absent:
        if edit_merge.holds(before, key):
            changes[".".join(key)] = [edit_merge.lookup(before, key), None]
    added = [list(key) for key in wanted if key in ours or not edit_merge.holds(before, key)]
    created = bool(before_us.get("created"))
    backup = [] if planning.file(path + names.BACKUP) is not None else [("backup", path, path + names.BACKUP)]
    planning.add(
        item, "update", changes, [*backup, operation], owns={"created": created, "format": notation, "keys": added}
    )


def release_merges(planning: Planning, path: str, detail: Mapping[str, Any]) -> None:
    """Plan the end of the keys that this resource added; a file that it made and that becomes empty goes too."""
    there = _foreign(planning, path)
    if there is None:
        return
    notation = detail["format"]
    keys = [tuple(key) for key in detail.get("keys", ())]
    old = edit_merge.load(there["text"], notation)
    present = [key for key in keys if edit_merge.holds(old, key)]
    left = edit_merge.load(edit_merge.merge(there["text"], notation, {}, present), notation)
    if detail.get("created") and not left:
        planning.add(f"merges:{path}", "delete", {}, [("remove", path)], disowns=True)
    elif present:
        arguments = {"notation": notation, "values": {}, "absent": present}
        planning.add(f"merges:{path}", "delete", {}, [("edit", path, "merge", arguments, None)], disowns=True)


def _creating(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"mode": entry.get("mode", "0644"), "validate_with": entry.get("validate_with")}


def _foreign(planning: Planning, path: str) -> Any:
    """Give the foreign file with its text; raises Refusal for what cannot be edited."""
    there = planning.file(path)
    if there is None:
        return None
    expect("file", there)
    if there.get("text") is None:
        raise Refusal(f"{path} is not a text of a moderate size (UTF-8, at most 4 MiB): it is not edited")
    return there


def _inside(text: str, name: str, comment: str) -> str:
    lines = text.splitlines(keepends=True)
    begin, end = f"{comment} BEGIN factory {name}", f"{comment} END factory {name}"
    marks = [number for number, line in enumerate(lines) if line.rstrip("\r\n") in {begin, end}]
    return "".join(lines[marks[0] + 1 : marks[1]])
