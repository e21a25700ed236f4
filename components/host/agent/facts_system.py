"""What is really there of packages, users, the kernel, mounts and services: one question to each program."""

from __future__ import annotations

import os

from . import names
from .edit_lines import unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .host import Host

_PACKAGE_FORMAT = "${binary:Package}\\t${Package}\\t${Version}\\t${db:Status-Abbrev}\\n"
_UNIT_PROPERTIES = "Id,Names,LoadState,ActiveState,UnitFileState,NeedDaemonReload"
_LOGIN_FIELDS = 7
_MOUNTINFO_POINT = 4


def gather(host: Host, keys: Mapping[str, list[str]]) -> dict[str, Any]:
    """Ask for what the kinds in ``keys`` need."""
    facts: dict[str, Any] = {}
    if keys.get("packages"):
        facts["packages"] = packages(host, keys["packages"])
    if keys.get("groups") or keys.get("users"):
        groups = host.accounts("group")
        named = {*keys.get("groups", ()), *keys.get("users", ())}
        facts["groups"] = {name: {"gid": int(groups[name][2])} if name in groups else None for name in sorted(named)}
    if keys.get("users"):
        facts["users"] = users(host, keys["users"])
    if keys.get("authorized_keys"):
        facts["authorized_keys"] = {user: keys_of(host, user) for user in keys["authorized_keys"]}
    if keys.get("modules"):
        facts["modules"] = modules(host, keys["modules"])
    if keys.get("mounts"):
        facts["fstab"] = host.read(names.FSTAB)
        mounted = mount_points(host)
        facts["mounts"] = {point: True if point in mounted else None for point in keys["mounts"]}
    if keys.get("sysctl"):
        facts["sysctl"] = {key: sysctl(host, key) for key in keys["sysctl"]}
    if keys.get("mounts") or keys.get("units"):
        facts["systemd"] = os.path.isdir(host.path("/run/systemd/system"))
    if keys.get("units"):
        facts["units"] = units(host, keys["units"])
    return facts


def paths(
    document: Mapping[str, Any], owned: Mapping[str, Mapping[str, Any]], keys: Mapping[str, list[str]]
) -> Iterable[str]:
    """Name the files of ours below directories of the system, and mount points."""
    for name in keys.get("repositories", ()):
        yield from (names.repository_path(name), names.repository_key_path(name))
    yield from map(names.module_path, keys.get("modules", ()))
    yield from map(names.sysctl_path, keys.get("sysctl", ()))
    yield from keys.get("mounts", ())
    for name in keys.get("units", ()):
        yield names.unit_path(name)
        drop_ins = set(document.get("units", {}).get(name, {}).get("drop_ins", ()))
        files = (owned.get("units", {}).get(name) or {}).get("files", ())
        drop_ins.update(field.partition(".")[2] for field in files if field.startswith("drop_ins."))
        yield from (names.drop_in_path(name, each) for each in sorted(drop_ins))


def packages(host: Host, wanted: list[str]) -> dict[str, Any]:
    """Ask dpkg for packages: version, whether held, whether left half-way; None for one that is not installed."""
    done = host.run(["dpkg-query", "--show", f"--showformat={_PACKAGE_FORMAT}", *wanted])
    found: dict[str, Any] = dict.fromkeys(wanted)
    for line in done.stdout.splitlines():
        binary, package, version, status = line.split("\t")
        state = status[1:2]
        if state in ("n", "c", ""):
            continue
        fact: dict[str, Any] = {"version": version}
        if status.startswith("h"):
            fact["held"] = True
        if state != "i" or status[2:3].strip():
            fact["broken"] = True
        for name in {binary, package} & set(wanted):
            found[name] = fact
    return found


def users(host: Host, wanted: list[str]) -> dict[str, Any]:
    """Read local users with their groups."""
    logins, groups = host.accounts("passwd"), host.accounts("group")
    primary = {fields[2]: name for name, fields in groups.items()}
    found: dict[str, Any] = {}
    for name in wanted:
        fields = logins.get(name)
        if fields is None or len(fields) < _LOGIN_FIELDS:
            found[name] = None
            continue
        found[name] = {
            "uid": int(fields[2]),
            "group": primary.get(fields[3], fields[3]),
            "groups": sorted(group for group, line in groups.items() if name in line[3].split(",")),
            "comment": fields[4],
            "home": fields[5],
            "shell": fields[6],
        }
    return found


def keys_of(host: Host, user: str) -> dict[str, Any] | None:
    """Read a user's authorized_keys; None for no such user."""
    fields = host.accounts("passwd").get(user)
    if fields is None:
        return None
    return {"text": host.read(f"{fields[5]}/.ssh/authorized_keys")}


def modules(host: Host, wanted: list[str]) -> dict[str, Any]:
    """Look which kernel modules are loaded, and which are at each start, by whatever file."""
    lists = ["/etc/modules"]
    for directory in ("/etc/modules-load.d", "/usr/lib/modules-load.d"):
        if os.path.isdir(host.path(directory)):
            lists += [
                f"{directory}/{name}" for name in sorted(os.listdir(host.path(directory))) if name.endswith(".conf")
            ]
    lines = [line.strip() for path in lists for line in (host.read(path) or "").splitlines()]
    persistent = {line.split()[0].replace("-", "_") for line in lines if line and line[0] not in "#;"}
    return {
        name: {
            "loaded": os.path.isdir(host.path(f"/sys/module/{name.replace('-', '_')}")),
            "persistent": name.replace("-", "_") in persistent,
        }
        for name in wanted
    }


def sysctl(host: Host, key: str) -> dict[str, Any] | None:
    """Read a kernel parameter, and what other files than ours set it to at each start."""
    value = host.read(names.sysctl_value_path(key))
    if value is None:
        return None
    fact = {"value": " ".join(value.split())}
    persistent = _sysctl_elsewhere(host, key)
    if persistent is not None:
        fact["persistent"] = persistent
    return fact


def _sysctl_elsewhere(host: Host, key: str) -> str | None:
    directory = "/etc/sysctl.d"
    files = sorted(os.listdir(host.path(directory))) if os.path.isdir(host.path(directory)) else []
    found = None
    for path in [*(f"{directory}/{name}" for name in files if name.endswith(".conf")), "/etc/sysctl.conf"]:
        if path == names.sysctl_path(key):
            continue
        for line in (host.read(path) or "").splitlines():
            name, equals, value = line.partition("=")
            if equals and name.strip().lstrip("-").replace("/", ".") == key.replace("/", "."):
                found = " ".join(value.split())
    return found


def mount_points(host: Host) -> set[str]:
    """Read what is mounted."""
    lines = (host.read("/proc/self/mountinfo") or "").splitlines()
    return {unescape(line.split()[_MOUNTINFO_POINT]) for line in lines}


def units(host: Host, wanted: list[str]) -> dict[str, Any]:
    """Ask systemd for units; None for one that it does not know."""
    done = host.run(["systemctl", "show", f"--property={_UNIT_PROPERTIES}", "--", *wanted])
    if done.status != 0:
        raise done.error("asking systemd for its units")
    found: dict[str, Any] = dict.fromkeys(wanted)
    for part in done.stdout.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in part.splitlines() if "=" in line)
        fact = {
            "load": fields.get("LoadState", "not-found"),
            "active": fields.get("ActiveState", "inactive"),
            "enabled": fields.get("UnitFileState", ""),
            "stale": fields.get("NeedDaemonReload") == "yes",
        }
        if fact["load"] == "not-found" and fact["active"] == "inactive" and not fact["enabled"]:
            continue
        for name in {fields.get("Id", ""), *fields.get("Names", "").split()} & set(wanted):
            found[name] = fact
    return found


def active_since(host: Host, name: str) -> float | None:
    """Ask since when a unit is active, on the clock of `time.monotonic`; None if it is not."""
    done = host.run(["systemctl", "show", "--property=ActiveState,ActiveEnterTimestampMonotonic", "--", name])
    fields = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    since = fields.get("ActiveEnterTimestampMonotonic", "")
    return int(since) / 1e6 if fields.get("ActiveState") == "active" and since.isdigit() else None
