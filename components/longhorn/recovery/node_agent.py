"""The library as the recovery flow runs it on a node: one command, one JSON document on standard output.

    scan DIRECTORY                  every replica directory below it
    space DIRECTORY                 free bytes and kind of the file system that would hold it
    backup SOURCE TARGET METHOD     a copy that keeps what each layer owns
    merge SOURCE IMAGE              the volume's content
    verify IMAGE                    what the image holds

A refusal or damage is ``{"error": {"code": ..., "message": ...}}`` with the exit status of :class:`.errors.Status`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .backup import backup
from .directory import read_replica
from .errors import BadInputError, RecoveryError, Status
from .image import verify
from .in_use import users_of
from .inspection import files_of, inspect
from .merge import MergeOptions, merge

__all__ = ["main", "scan", "space"]

_ARGUMENTS = {"scan": 1, "space": 1, "backup": 3, "merge": 2, "verify": 1}
_MEMORY = frozenset({"tmpfs", "ramfs"})


def main(arguments: Sequence[str]) -> int:
    """Run one command and print its result. Returns the exit status."""
    try:
        result, status = _run(list(arguments)), Status.RECOVERED
    except RecoveryError as error:
        result, status = {"error": {"code": error.code, "message": str(error)}}, error.status
    except OSError as error:
        message = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
        result, status = {"error": {"code": "system", "message": message}}, Status.FAILED
    json.dump(result, sys.stdout, default=str)
    sys.stdout.write("\n")
    return int(status)


def scan(directory: Path) -> list[dict[str, Any]]:
    """Describe every directory below ``directory``, in their order. A missing one holds no replica."""
    if not directory.is_dir():
        return []
    found = sorted(path for path in directory.iterdir() if path.is_dir() and not path.is_symlink())
    replicas = [read_replica(path) for path in found]
    users = users_of([file for replica in replicas for file in files_of(replica)])
    return [inspect(replica, users=users).as_dict() for replica in replicas]


def space(directory: Path) -> dict[str, Any]:
    """Say how much room there is where ``directory`` is or would be made, and on which file system."""
    place = directory
    while not place.exists():
        place = place.parent
    status = os.statvfs(place)
    kind = _kind(place)
    return {
        "free": status.f_bavail * status.f_frsize,
        "kind": kind,
        "memory": kind in _MEMORY,
        "device": _device(place),
    }


def _run(arguments: list[str]) -> dict[str, Any]:
    command, rest = (arguments or [""])[0], arguments[1:]
    if _ARGUMENTS.get(command) != len(rest):
        raise BadInputError("arguments", f"{' '.join(arguments)!r} is none of: {__doc__}")
    paths = [Path(item) for item in rest]
    if command == "scan":
        return {"directories": scan(paths[0])}
    if command == "space":
        return space(paths[0])
    if command == "backup":
        return backup(paths[0], paths[1], method=rest[2]).as_dict()
    if command == "merge":
        paths[1].parent.mkdir(parents=True, exist_ok=True)
        # The flow has judged the size, by the limit that its settings give.
        return merge(paths[0], paths[1], MergeOptions(accepting=frozenset({"too-small"}))).as_dict()
    return verify(paths[0]).as_dict()


def _device(place: Path) -> int:
    return place.stat().st_dev


def _kind(place: Path) -> str:
    """Find the mount that holds a path: the last one of its device wins, as in the kernel."""
    device = _device(place)
    wanted = f"{os.major(device)}:{os.minor(device)}"
    found = ""
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        fields = line.split()
        if fields[2] == wanted:
            found = fields[fields.index("-") + 1]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
