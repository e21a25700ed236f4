"""Planning directories, files, downloads and links."""

from __future__ import annotations

from .errors import Refusal
from .plan import Content, Planning, content_of, directory_change, expect, file_change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


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
