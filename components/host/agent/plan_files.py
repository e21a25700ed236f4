"""Planning directories, files, downloads, links, blocks and merged keys."""

from __future__ import annotations

from . import edit_lines, edit_merge
from .errors import Refusal
from .plan import Content, Planning, content_of, directory_change, expect, file_change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BACKUP = ".factory-backup"


def directories(planning: Planning, path: str, entry: Mapping[str, Any]) -> None:
    """Plan a directory that is to be there."""
    change = directory_change(planning, path, entry)
    if change:
        do, changes, operations = change
        planning.add(f"directories:{path}", do, changes, operations, owns=True if do == "create" else None)


def no_directories(planning: Planning, path: str, _entry: Mapping[str, Any]) -> None:
    """Plan a directory that must not be there; only an empty one goes."""
    there = planning.file(path)
    if there is None:
        return
    expect("directory", there)
    going = {
        action.item.partition(":")[2]
        for action in planning.actions
        if action.do == "delete" and action.item.startswith(("files:", "links:", "downloads:", "directories:"))
    }
    left = [name for name in there.get("entries", ()) if f"{path}/{name}" not in going]
    if left:
        raise Refusal(f"the directory is not empty (it has {left[0]!r}): empty it first, or keep it")
    planning.add(f"directories:{path}", "delete", {}, [("remove_directory", path, True)], disowns=True)


def release_directories(planning: Planning, path: str, _detail: Any) -> None:
    """Plan the end of a directory that this resource made. One that is in use stays."""
    there = planning.file(path)
    if there is not None and there["type"] == "directory":
        planning.add(f"directories:{path}", "delete", {}, [("remove_directory", path, False)], disowns=True)


def files(planning: Planning, path: str, entry: Mapping[str, Any]) -> None:
    """Plan a whole file."""
    change = file_change(planning, path, entry, content_of(entry))
    if change:
        do, changes, operations = change
        planning.add(f"files:{path}", do, changes, operations, owns=True if do == "create" else None)


def downloads(planning: Planning, path: str, entry: Mapping[str, Any]) -> None:
    """Plan a file that the host fetches."""
    content = Content(None, sha256=entry["sha256"])
    change = file_change(planning, path, entry, content)
    if change is None:
        return
    do, changes, operations = change
    if operations[0][0] == "write":
        fetch = (entry["url"], entry["sha256"], entry.get("timeout", 300))
        operations = [("download", path, fetch, operations[0][3])]
    if "content" in changes:
        changes["sha256"] = [digest.partition(":")[2] for digest in changes.pop("content")]
    planning.add(f"downloads:{path}", do, changes, operations, owns=True if do == "create" else None)


def links(planning: Planning, path: str, entry: Mapping[str, Any]) -> None:
    """Plan a symbolic link. It replaces another link only."""
    there = planning.file(path)
    operations = [("link", path, entry["target"])]
    if there is None:
        planning.add(f"links:{path}", "create", {}, operations, owns=True)
    elif there["type"] != "link":
        what = "a directory" if there["type"] == "directory" else "a file"
        raise Refusal(f"{what} is in the way of this link: move it away, or give another path")
    elif there["target"] != entry["target"]:
        planning.add(f"links:{path}", "update", {"target": [there["target"], entry["target"]]}, operations)


def no_file(kind: str, planning: Planning, path: str) -> None:
    """Plan the removal of a file, download or link."""
    there = planning.file(path)
    if there is not None:
        expect("link" if kind == "links" else "file", there)
        planning.add(f"{kind}:{path}", "delete", {}, [("remove", path)], disowns=True)


def release_file(kind: str, planning: Planning, path: str) -> None:
    """Plan the end of a file, download or link that this resource made. What took its place since is not ours."""
    there = planning.file(path)
    if there is not None and there["type"] == ("link" if kind == "links" else "file"):
        planning.add(f"{kind}:{path}", "delete", {}, [("remove", path)], disowns=True)


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
    backup = [] if planning.file(path + BACKUP) is not None else [("backup", path, path + BACKUP)]
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
