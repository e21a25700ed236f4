"""What is known of a host before its first change, and what would stop one half-way."""

from __future__ import annotations

import os
import sys
import time

from .errors import AgentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .host import Host
    from .plan import Action

_APT_LOCK = "/var/lib/dpkg/lock-frontend"
_MARGIN = 1024 * 1024
_MIB = 1024 * 1024


def facts(host: Host, *, packages: bool) -> dict[str, Any]:
    """Gather the preflight facts; ``clock`` is seconds since 1970, sizes are bytes."""
    release = dict(line.partition("=")[::2] for line in (host.read("/etc/os-release") or "").splitlines())
    machine = os.uname()
    found: dict[str, Any] = {
        "os": {key.lower(): release.get(key, "").strip("\"'") for key in ("ID", "VERSION_ID", "VERSION_CODENAME")},
        "arch": machine.machine,
        "hostname": machine.nodename,
        "python": ".".join(map(str, sys.version_info[:3])),
        "clock": time.time(),
        "uid": os.geteuid(),
        "systemd": os.path.isdir(host.path("/run/systemd/system")),
        "disk": {path: _room(host.path(path)) for path in ("/", "/var") if os.path.isdir(host.path(path))},
    }
    if packages:
        found["apt_lock"] = _locked(host.path(_APT_LOCK))
    return found


def require_room(host: Host, actions: Iterable[Action]) -> None:
    """Refuse, before the first change, what would not fit or cannot be written at all."""
    wanted: dict[int, tuple[str, int]] = {}
    for action in actions:
        for operation in action.operations:
            if operation[0] != "write":
                continue
            parent = os.path.dirname(host.path(operation[1]))
            while not os.path.isdir(parent):
                parent = os.path.dirname(parent)
            device = os.stat(parent).st_dev
            wanted[device] = (parent, wanted.get(device, ("", 0))[1] + operation[2].size)
    for parent, size in wanted.values():
        system = os.statvfs(parent)
        if system.f_flag & os.ST_RDONLY:
            raise AgentError("refused", f"the file system of {parent} is read-only: mount it read-write first")
        free = system.f_bavail * system.f_frsize
        if free < size + _MARGIN:
            message = (
                f"the file system of {parent} has {free / _MIB:.1f} MiB free, {size / _MIB:.1f} MiB are to be written"
            )
            raise AgentError("refused", f"{message}: free some room")


def _room(path: str) -> dict[str, int]:
    system = os.statvfs(path)
    return {"free": system.f_bavail * system.f_frsize, "total": system.f_blocks * system.f_frsize}


def _locked(path: str) -> bool:
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
