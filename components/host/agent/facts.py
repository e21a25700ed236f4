"""What is really there: only of what the document and the ownership name, each asked once."""

from __future__ import annotations

import os
import stat

from . import names
from .digest import Digest
from .fs import kind_of
from .json_text import loads
from .planner import SYSTEM_KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .host import Host

TEXT_LIMIT = 4 * 1024 * 1024
_PIECE = 1024 * 1024
_HASH, _TEXT, _ENTRIES, _LOOK = "hash", "text", "entries", "look"


def gather(
    host: Host, document: Mapping[str, Any], owned: Mapping[str, Mapping[str, Any]], resource: str
) -> dict[str, Any]:
    """Ask the host for all facts that a plan needs. Changes nothing."""
    journal = read_journal(host, resource)
    owned = with_journal(owned, journal)
    keys = {kind: sorted({*document.get(kind, {}), *owned.get(kind, {})}) for kind in {*document, *owned} - {"confirm"}}
    facts: dict[str, Any] = {
        "self": {"owner": host.user_name(os.geteuid()), "group": host.group_name(os.getegid())},
        "whole": host.system,
        "paths": {},
    }
    if journal:
        facts["journal"] = journal
    looks = _paths(document, owned, keys, resource)
    if host.system and not keys.keys().isdisjoint(SYSTEM_KINDS):
        from . import facts_system

        facts.update(facts_system.gather(host, keys))
        for path in facts_system.paths(document, owned, keys):
            looks.setdefault(path, _HASH)
    if document.get("steps"):
        facts["steps"] = {name: step_fact(host, entry, resource, name) for name, entry in document["steps"].items()}
    for path, how in looks.items():
        facts["paths"][path] = look(host, path, how)
    return facts


def _paths(
    document: Mapping[str, Any], owned: Mapping[str, Mapping[str, Any]], keys: Mapping[str, list[str]], resource: str
) -> dict[str, str]:
    """Choose which paths are looked at, and how closely."""
    looks: dict[str, str] = {}
    for kind, how in (
        ("directories", _LOOK),
        ("links", _LOOK),
        ("files", _HASH),
        ("downloads", _HASH),
        ("merges", _TEXT),
    ):
        looks.update(dict.fromkeys(keys.get(kind, ()), how))
    for path, entry in document.get("directories", {}).items():
        if entry.get("state") == "absent":
            looks[path] = _ENTRIES
    looks.update({path + names.BACKUP: _LOOK for path in keys.get("merges", ())})
    for name in keys.get("blocks", ()):
        entry = document.get("blocks", {}).get(name) or owned["blocks"][name]
        looks[entry["path"]] = _TEXT
    looks.update({names.step_path(resource, name): _LOOK for name in owned.get("steps", {})})
    return looks


def look(host: Host, path: str, how: str) -> dict[str, Any] | None:
    """Look at a path: its kind and attributes, and ``hash``, ``text`` or ``entries`` as asked; None for nothing."""
    place = host.path(path)
    try:
        status = os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = kind_of(status.st_mode)
    fact: dict[str, Any] = {
        "type": kind,
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "owner": host.user_name(status.st_uid),
        "group": host.group_name(status.st_gid),
    }
    if kind == "link":
        fact["target"] = os.readlink(place)
    elif kind == "directory" and how == _ENTRIES:
        fact["entries"] = sorted(os.listdir(place))
    elif kind == "file" and how == _TEXT:
        fact["text"] = text_of(place, status.st_size)
    elif kind == "file" and how == _HASH:
        fact["sha256"], fact["size"] = digest_of(place), status.st_size
    return fact


def digest_of(place: str) -> str:
    """Hash a file in pieces."""
    digest = Digest()
    with open(place, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def text_of(place: str, size: int, limit: int = TEXT_LIMIT) -> str | None:
    """Read a file as UTF-8; None for what is too large or no such text."""
    if size > limit:
        return None
    with open(place, "rb") as file:
        data = file.read(limit + 1)
    try:
        return data.decode("utf-8") if len(data) <= limit else None
    except UnicodeDecodeError:
        return None


def step_fact(host: Host, entry: Mapping[str, Any], resource: str, name: str) -> dict[str, Any]:
    """Ask a step's guards. A guard that does not exist as a program says no to everything."""
    fact: dict[str, Any] = {}
    if "creates" in entry:
        fact["created"] = os.path.lexists(host.path(entry["creates"]))
    if entry.get("once_for") is not None:
        mark = host.read(names.step_path(resource, name))
        fact["ran_for"] = mark.strip() if mark else None
    for guard in ("unless", "only_if"):
        if guard in entry and not fact.get("created"):
            fact[guard] = host.run(entry[guard], **step_surroundings(host, entry)).status
    return fact


def step_surroundings(host: Host, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Give the environment and the directory of a step's command and guards."""
    return {
        "environment": {"FACTORY_ROOT": host.root or "/", **entry.get("environment", {})},
        "directory": host.path(entry.get("directory", "/")),
    }


def read_journal(host: Host, resource: str) -> dict[str, Any] | None:
    """Read what an earlier run of this resource was about to do; None if it came to its end."""
    text = host.read(names.journal_path(resource))
    if text is None:
        return None
    journal: dict[str, Any] = {"changing": [], "creating": {}, "served": [], "targets": [], "finished": False}
    for line in text.splitlines():
        try:
            entry = loads(line)
        except ValueError:  # the last line of a run that was killed while it wrote
            continue
        journal["creating"].update(entry.get("creating", {}))
        journal["finished"] |= entry.get("finished", False)
        for field in ("changing", "served", "targets"):
            journal[field] += entry.get(field, [])
    return journal


def with_journal(
    owned: Mapping[str, Mapping[str, Any]], journal: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """Add what a killed run was about to create: if it is there now, that run made it."""
    merged = {kind: dict(items) for kind, items in owned.items()}
    for kind, items in (journal or {}).get("creating", {}).items():
        for key, detail in items.items():
            known = merged.setdefault(kind, {}).get(key)
            merged[kind][key] = detail if known is None else _union(known, detail)
    return merged


def _union(one: Any, other: Any) -> Any:
    """Join two details of one item: nobody knows which of the two runs got further."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = {key: _union(one[key], other[key]) for key in one if key in other}
        return {**one, **other, **both}
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *(each for each in other if each not in one)]
    return one
