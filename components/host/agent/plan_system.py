"""Planning repositories, packages, users, kernel modules, kernel parameters and mounts."""

from __future__ import annotations

from . import edit_lines, names, rendering
from .errors import Refusal
from .plan import Planning, file_change, text_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .plan import Operation


def repositories(planning: Planning, name: str, entry: Mapping[str, Any]) -> None:
    """Plan a repository: its key, its entry. What it offers is read once, when the last one is in place."""
    key_path, path = names.repository_key_path(name), names.repository_path(name)
    wanted = {path: rendering.repository(entry, key_path)}
    if entry.get("signing_key"):
        wanted[key_path] = entry["signing_key"].rstrip("\n") + "\n"
    compared = [file_change(planning, place, {}, text_content(text)) for place, text in sorted(wanted.items())]
    planned = [change for change in compared if change]
    if not planned:
        return
    do = "create" if planning.file(path) is None else "update"
    changes = {field: values for change in planned for field, values in change[1].items()}
    operations = [operation for change in planned for operation in change[2]]
    planning.add(f"repositories:{name}", do, changes, operations, owns=True if do == "create" else None)


def no_repositories(planning: Planning, name: str, _detail: Any) -> None:
    """Plan the end of a repository."""
    paths = [path for path in (names.repository_path(name), names.repository_key_path(name)) if planning.file(path)]
    if paths:
        planning.add(f"repositories:{name}", "delete", {}, [("remove", path) for path in paths], disowns=True)


def packages(planning: Planning) -> None:
    """Plan all packages as one call of apt-get, with the marks of those that are held."""
    wanted: list[str] = []
    holds: dict[str, list[str]] = {"hold": [], "unhold": []}
    broken = [name for name, fact in planning.facts.get("packages", {}).items() if fact and fact.get("broken")]
    first = len(planning.actions)
    for name in sorted(planning.wanted("packages")):
        _package(planning, name, planning.wanted("packages")[name], wanted, holds)
    for name in sorted(planning.owned.get("packages", {})):
        if name not in planning.wanted("packages") and planning.fact("packages", name):
            planning.add(f"packages:{name}", "delete", {}, disowns=True)
            wanted.append(f"{name}-")
    repositories_changed = any(action.item.startswith("repositories:") for action in planning.actions)
    operations: list[Operation] = []
    if broken:
        operations.append(("finish_packages",))
    if repositories_changed:
        operations.append(("update_packages",))
    if wanted:
        operations.append(("install_packages", wanted, repositories_changed))
    operations += [("mark_packages", verb, marked) for verb, marked in holds.items() if marked]
    if len(planning.actions) > first:
        planning.actions[first].operations = operations
    elif operations and planning.actions:
        planning.actions[-1].operations += operations


def _package(
    planning: Planning, name: str, entry: Mapping[str, Any], wanted: list[str], holds: dict[str, list[str]]
) -> None:
    fact, item = planning.fact("packages", name), f"packages:{name}"
    if entry.get("state") == "absent":
        if fact:
            planning.add(item, "delete", {"version": [fact["version"], None]}, disowns=True)
            wanted.append(f"{name}-")
        return
    version, hold = entry.get("version"), entry.get("hold")
    changes: dict[str, Any] = {}
    installed = bool(fact) and not fact.get("broken")
    if not installed or (version and fact["version"] != version):
        changes["version"] = [fact["version"] if fact else None, version]
        wanted.append(f"{name}={version}" if version else name)
    held = bool(fact and fact.get("held"))
    if hold is not None and hold != held:
        changes["hold"] = [held, hold]
    if changes and (hold or (hold is None and held)):
        holds["hold"].append(name)  # apt-get lifts the mark of what it changes
    elif changes and held:
        holds["unhold"].append(name)
    if not fact:
        planning.add(item, "create", {}, owns=True)
    elif changes:
        planning.add(item, "update", changes)


def groups(planning: Planning, name: str, entry: Mapping[str, Any]) -> None:
    """Plan a group."""
    fact, gid = planning.fact("groups", name), entry.get("gid")
    number = [] if gid is None else ["--gid", str(gid)]
    if fact is None:
        system = ["--system"] if entry.get("system") else []
        planning.add(f"groups:{name}", "create", {}, [_run("groupadd", *system, *number, name)], owns=True)
    elif gid is not None and fact["gid"] != gid:
        operations = [_run("groupmod", *number, name)]
        planning.add(f"groups:{name}", "update", {"gid": [fact["gid"], gid]}, operations)


def no_groups(planning: Planning, name: str, _detail: Any) -> None:
    """Plan the end of a group."""
    if planning.fact("groups", name):
        planning.add(f"groups:{name}", "delete", {}, [("remove_group", name)], disowns=True)


def users(planning: Planning, name: str, entry: Mapping[str, Any]) -> None:
    """Plan a user. It keeps groups that the document does not name."""
    fact = planning.fact("users", name)
    groups = sorted(entry.get("groups", ()))
    fields = {"uid": "--uid", "group": "--gid", "home": "--home-dir", "shell": "--shell", "comment": "--comment"}
    given = {field: entry[field] for field in fields if entry.get(field) is not None}
    if fact is None:
        words = [word for field, value in given.items() for word in (fields[field], str(value))]
        words += ["--groups", ",".join(groups)] if groups else []
        words += ["--system"] if entry.get("system") else []
        words += ["--create-home" if entry.get("create_home", True) else "--no-create-home"]
        words += [] if "group" in given else ["--no-user-group" if planning.fact("groups", name) else "--user-group"]
        words += ["--gid", name] if "group" not in given and planning.fact("groups", name) else []
        planning.add(f"users:{name}", "create", {}, [_run("useradd", *words, name)], owns=True)
        return
    changes: dict[str, Any] = {key: [fact[key], given[key]] for key in given if fact[key] != given[key]}
    words = [word for field in changes for word in (fields[field].replace("home-dir", "home"), str(given[field]))]
    if missing := sorted(set(groups) - set(fact["groups"])):
        changes["groups"] = [sorted(fact["groups"]), sorted({*fact["groups"], *groups})]
        words += ["--append", "--groups", ",".join(missing)]
    if changes:
        planning.add(f"users:{name}", "update", changes, [_run("usermod", *words, name)])


def no_users(planning: Planning, name: str, _detail: Any) -> None:
    """Plan the end of a user; the home stays."""
    if planning.fact("users", name):
        planning.add(f"users:{name}", "delete", {}, [_run("userdel", name)], disowns=True)


def authorized_keys(planning: Planning, user: str, entry: Mapping[str, Any]) -> None:
    """Plan who may log in as a user. Keys that this resource added and no longer wants go."""
    fact = planning.fact("authorized_keys", user)
    keys: Mapping[str, str] = entry.get("keys", {})
    ours: Mapping[str, str] = planning.owned.get("authorized_keys", {}).get(user) or {}
    unwanted = [line for name, line in ours.items() if name not in keys]
    for name, line in keys.items():
        if edit_lines.key_body(line) is None:
            raise Refusal(f"the key {name!r} is not a line of authorized_keys: give type, key and a comment")
    old = fact["text"] if fact else None
    wanted, exclusive = [keys[name] for name in sorted(keys)], bool(entry.get("exclusive"))
    new = edit_lines.authorized_keys(old, wanted, unwanted, exclusive=exclusive)
    arguments = {"wanted": wanted, "unwanted": unwanted, "exclusive": exclusive}
    item = f"authorized_keys:{user}"
    if new == old:
        if ours:
            planning.owned["authorized_keys"][user] = {name: line for name, line in keys.items() if name in ours}
        return
    if fact is None and not (user in planning.wanted("users") or planning.busy()):
        raise Refusal(f"the user {user!r} does not exist: let a package or this document create it")
    missing = edit_lines.missing_keys(old, keys)
    owns = {name: line for name, line in keys.items() if name in ours or name in missing}
    do = "create" if not (old or "").strip() else "update"
    changes = {} if do == "create" else {"keys": [edit_lines.shown_keys(old), edit_lines.shown_keys(new)]}
    planning.add(item, do, changes, [("edit_keys", user, arguments)], owns=owns)


def release_authorized_keys(planning: Planning, user: str, detail: Mapping[str, str]) -> None:
    """Plan the end of the keys that this resource added."""
    fact = planning.fact("authorized_keys", user)
    if fact is None or fact["text"] is None:
        return
    arguments: dict[str, Any] = {
        "wanted": [],
        "unwanted": [detail[name] for name in sorted(detail)],
        "exclusive": False,
    }
    if edit_lines.authorized_keys(fact["text"], **arguments) != fact["text"]:
        planning.add(f"authorized_keys:{user}", "delete", {}, [("edit_keys", user, arguments)], disowns=True)


def modules(planning: Planning, name: str, _entry: Mapping[str, Any]) -> None:
    """Plan a kernel module: loaded now, and at each start."""
    fact = planning.fact("modules", name) or {"loaded": False, "persistent": False}
    operations: list[Operation] = []
    if not fact["persistent"]:
        operations += _written(planning, names.module_path(name), f"{name}\n")
    if not fact["loaded"]:
        operations.append(_run("modprobe", name))
    changes = {field: [False, True] for field in ("loaded", "persistent") if not fact[field]}
    if len(changes) > 1:
        planning.add(f"modules:{name}", "create", {}, operations, owns=True)
    elif changes:
        planning.add(f"modules:{name}", "update", changes, operations)


def no_modules(planning: Planning, name: str, detail: Any) -> None:
    """Plan the end of a kernel module: our file goes, and with ``state: absent`` the module too."""
    path = names.module_path(name)
    fact = planning.fact("modules", name) or {}
    operations: list[Operation] = [("remove", path)] if planning.file(path) else []
    explicit = isinstance(detail, dict)
    if explicit and fact.get("persistent") and not operations:
        raise Refusal(f"the module {name!r} is loaded at each start by a file of somebody else: remove it from there")
    if fact.get("loaded") and (explicit or operations):
        operations.append(_run("modprobe", "--remove", name))
    if operations:
        planning.add(f"modules:{name}", "delete", {}, operations, disowns=True)


def sysctl(planning: Planning, key: str, entry: Mapping[str, Any]) -> None:
    """Plan a kernel parameter, now and at each start."""
    value = rendering.line(entry["value"])
    fact = planning.fact("sysctl", key)
    path = names.sysctl_path(key)
    elsewhere = planning.file(path) is None and fact is not None and fact.get("persistent") == value
    written = [] if elsewhere else _written(planning, path, f"{key} = {value}\n")
    if fact is None and not (planning.busy() or planning.wanted("modules")):
        raise Refusal(f"this kernel has no parameter {key!r}: correct its name, or let a module bring it")
    real = fact["value"] if fact else None
    differs = real is None or real.split() != value.split()
    operations = [*written, *([("poke", names.sysctl_value_path(key), value)] if differs else [])]
    if not operations:
        return
    do = "create" if written and planning.file(path) is None else "update"
    owns = {"before": real} if do == "create" else None
    planning.add(f"sysctl:{key}", do, {"value": [real, value]} if differs else {}, operations, owns=owns)


def no_sysctl(planning: Planning, key: str, _detail: Any) -> None:
    """Plan the end of a kernel parameter: our file goes; what this resource changed gets its earlier value back."""
    path = names.sysctl_path(key)
    if not planning.file(path):
        return
    operations: list[Operation] = [("remove", path)]
    before = (planning.owned.get("sysctl", {}).get(key) or {}).get("before")
    fact = planning.fact("sysctl", key)
    if before is not None and fact and fact["value"] != before:
        operations.append(("poke", names.sysctl_value_path(key), before))
    planning.add(f"sysctl:{key}", "delete", {}, operations, disowns=True)


def mounts(planning: Planning, point: str, entry: Mapping[str, Any]) -> None:
    """Plan a line of fstab and the mount. Nothing is ever formatted."""
    options = [*entry.get("options", ("defaults",))]
    if entry.get("nofail", True) and "nofail" not in options:
        options.append("nofail")
    fstype = "none" if "bind" in options and entry.get("fstype", "auto") == "auto" else entry.get("fstype", "auto")
    fields = [entry["source"], point, fstype, ",".join(options), "0", str(entry.get("check_order", 0))]
    fields = [rendering.line(field) for field in fields]
    text, real = planning.facts.get("fstab"), planning.fact("mounts", point)
    there = edit_lines.fstab_fields(text, point)
    edited = edit_lines.fstab(text, point, fields) != text
    operations: list[Operation] = (
        [("edit", names.FSTAB, "fstab", {"point": point, "fields": fields}, {})] if edited else []
    )
    operations += [_run("systemctl", "daemon-reload")] if edited and planning.facts.get("systemd") else []
    changes: dict[str, Any] = {}
    if there and edited:
        labels = ("source", "point", "fstype", "options", "dump", "check_order")
        changes = {name: [old, new] for name, old, new in zip(labels, there, fields) if old != new}  # noqa: B905 3.9 has no strict
    if entry.get("mounted", True):
        if real and ("source" in changes or "fstype" in changes):
            operations += [_run("umount", point), ("mount", point, entry["source"])]
        elif real and "options" in changes:
            operations.append(_run("mount", "-o", f"remount,{','.join(options)}", point))
        elif not real:
            changes["mounted"] = [False, True]
            operations += [] if planning.file(point) else [("make_directory", point, ("0755", None, None))]
            operations.append(("mount", point, entry["source"]))
    if there is None:
        planning.add(f"mounts:{point}", "create", {}, operations, owns=True)
    elif operations:
        planning.add(f"mounts:{point}", "update", changes, operations)


def no_mounts(planning: Planning, point: str, _detail: Any) -> None:
    """Plan the end of a mount; its directory stays."""
    operations: list[Operation] = [_run("umount", point)] if planning.fact("mounts", point) else []
    if edit_lines.fstab_fields(planning.facts.get("fstab"), point):
        operations.append(("edit", names.FSTAB, "fstab", {"point": point, "fields": None}, {}))
        operations += [_run("systemctl", "daemon-reload")] if planning.facts.get("systemd") else []
    if operations:
        planning.add(f"mounts:{point}", "delete", {}, operations, disowns=True)


def _written(planning: Planning, path: str, text: str) -> list[Operation]:
    change = file_change(planning, path, {}, text_content(text))
    return change[2] if change else []


def _run(*argv: str) -> Operation:
    return ("run", list(argv))
