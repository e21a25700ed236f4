"""Commit-confirm: the host takes a dangerous change back by itself unless a fresh connection confirms it in time.

Before the first such change its files are copied aside and a transient timer of systemd (or, without systemd, a process
of its own) is set to put them back. Who first makes the directory ``decided``, the timer or the confirmation, wins.

With systemd a unit is enabled besides that does the same at the next boot, before what waits for `network-pre.target`.
A host whose plug somebody pulls because it does not answer any more comes up as it was.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time

from . import names, rendering
from .errors import Refusal, failed
from .fs import Files
from .host import STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host
    from .plan import Action, Planning

DIRECTORY = f"{STATE}/confirm"
_DECIDED, _FINISHED, _SCRIPT, _PID, _DEADLINE = "decided", "finished", "revert.sh", "pid", "deadline"
_REVERTING = "decided/revert"
_GRACE = 60.0
_WANTS = f"{names.UNITS}/multi-user.target.wants"


class Revert:
    """What puts the changes of one run back."""

    def __init__(self, host: Host, files: Files, planning: Planning, token: str) -> None:
        self._host = host
        self._files = files
        self._planning = planning
        self._confirm: Any = planning.document["confirm"]
        self._token = token
        self._place = f"{DIRECTORY}/{token}"
        self._armed = False

    def awaited(self) -> dict[str, Any] | None:
        """Tell the caller what to confirm; None for nothing."""
        return {"token": self._token, "timeout": self._confirm["timeout"]} if self._armed else None

    def arm_before(self, action: Action) -> None:
        """Set the timer if this is the first action that needs confirmation."""
        if self._armed:
            return
        items = set(self._confirm["items"])
        if action.item in items or items.intersection(action.why):
            _remove_old(self._host)
            self._arm(items)
            self._armed = True

    def finish(self) -> None:
        """Note that the run came to its end: only then may it be confirmed."""
        if self._armed:
            self._files.write(f"{self._place}/{_FINISHED}", [b""], mode=0o600)
            self._files.settle()

    def _arm(self, items: set[str]) -> None:
        timeout = int(self._confirm["timeout"])
        self._files.make_directory(self._place, mode=0o700)
        deadline = f"{time.time() + timeout}\n".encode()
        self._files.write(f"{self._place}/{_DEADLINE}", [deadline], mode=0o600)
        script = self._script(items).encode("utf-8", "surrogateescape")
        self._files.write(f"{self._place}/{_SCRIPT}", [script], mode=0o700)
        self._files.settle()
        runnable = self._host.path(f"{self._place}/{_SCRIPT}")
        if self._by_systemd:
            self._arm_boot(runnable)
            unit = [f"--unit={_unit(self._token)}", f"--on-active={timeout}s", "--timer-property=AccuracySec=1s"]
            done = self._host.run(["systemd-run", "--quiet", "--collect", *unit, "/bin/sh", runnable])
            if done.status != 0:
                raise done.error("setting the timer that takes the change back")
            return
        import subprocess

        command = ["/bin/sh", "-c", 'sleep "$1"; exec /bin/sh "$2"', "factory-revert", str(timeout), runnable]
        null = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd="/", start_new_session=True, stdin=null, stdout=null, stderr=null)
        self._files.write(f"{self._place}/{_PID}", [f"{process.pid}\n".encode()], mode=0o600)

    @property
    def _by_systemd(self) -> bool:
        return self._host.system and os.path.isdir(self._host.path("/run/systemd/system"))

    def _arm_boot(self, runnable: str) -> None:
        """Have the next boot take the change back. It is not started here: systemd need not know of it before."""
        sections = {
            "Unit": {
                "Description": "Take back a change that nobody has confirmed",
                "RequiresMountsFor": DIRECTORY,
                "Before": "network-pre.target",
                "Wants": "network-pre.target",
            },
            "Service": {"Type": "oneshot", "ExecStart": f"/bin/sh {runnable}"},
        }
        unit, link = _boot_unit(self._token)
        self._files.write(unit, [rendering.unit(sections).encode()], mode=0o644)
        self._files.parents(link)
        self._files.link(link, unit)
        self._files.settle()

    def _script(self, items: set[str]) -> str:
        place = self._host.path(self._place)
        decided, reverting = (shlex.quote(f"{place}/{name}") for name in (_DECIDED, _REVERTING))
        # What a reset has interrupted goes on; what was confirmed stays.
        lines = ["set -u", "cd /", f"mkdir {decided} || [ -e {reverting} ] || exit 0", f": >{reverting}"]
        for number, path in enumerate(sorted({path for item in items for path in self._paths(item)})):
            target = self._host.path(path)
            lines += self._back(target, f"{place}/{number}")
        restarted = [action for action in self._planning.actions if action.do in ("restart", "reload", "start")]
        units = [
            action.item.partition(":")[2] for action in restarted if items.intersection([*action.why, action.item])
        ]
        if self._host.system:
            lines += ["systemctl daemon-reload", *(f"systemctl try-restart -- {shlex.quote(unit)}" for unit in units)]
        lines += [" ".join(map(shlex.quote, argv)) for argv in self._confirm.get("undo", ())]
        lines.append("sync")
        if self._host.system:
            lines.append(f"rm -f {' '.join(map(self._host.path, _boot_unit(self._token)))}")
        lines.append(f"rm -rf {shlex.quote(place)}")
        if self._host.system:
            # The very last: from now on systemd knows no more that the network waits for this.
            lines.append("systemctl daemon-reload")
        return "\n".join(lines) + "\n"

    def _back(self, target: str, copy: str) -> list[str]:
        """Copy a path aside; returns the commands that put it back, atomically."""
        quoted, draft = shlex.quote(target), shlex.quote(f"{target}.factory-revert")
        if not os.path.lexists(target):
            return [f"rm -f -- {quoted}"]
        if os.path.isdir(target) and not os.path.islink(target):
            raise failed(f"{target} is a directory, which cannot be taken back: name its files in confirm.items")
        done = self._host.run(["cp", "--archive", "--no-target-directory", "--", target, copy])
        if done.status != 0:
            raise done.error(f"copying {target} aside")
        if not os.path.islink(copy):
            with open(copy, "rb") as file:
                os.fsync(file)
        return [f"cp -aT -- {shlex.quote(copy)} {draft} && mv -fT -- {draft} {quoted}"]

    def _paths(self, item: str) -> list[str]:
        kind, _, key = item.partition(":")
        entry = self._planning.wanted(kind).get(key, {})
        if kind in ("files", "links", "merges", "downloads"):
            return [key]
        if kind == "blocks":
            return [entry["path"]]
        if kind == "units":
            return [names.unit_path(key), *(names.drop_in_path(key, each) for each in entry.get("drop_ins", ()))]
        raise Refusal(
            f"confirm names {item!r}: only files, links, downloads, blocks, merges and units can be taken back"
        )


def confirm(host: Host, token: str) -> dict[str, Any]:
    """Keep the changes of a run that came to its end; says whether that was in time."""
    place = host.path(f"{DIRECTORY}/{os.path.basename(token)}")
    if not os.path.isdir(place):
        return {"confirmed": False, "reason": "the host has taken the change back already"}
    if not os.path.exists(f"{place}/{_FINISHED}"):
        return {"confirmed": False, "reason": "the run did not come to its end, so the host takes the change back"}
    try:
        os.mkdir(f"{place}/{_DECIDED}")
    except FileExistsError:
        return {"confirmed": False, "reason": "the host is just taking the change back"}
    _stop_timer(host, token, place)
    _disarm_boot(host, token)
    shutil.rmtree(place)
    return {"confirmed": True}


def _stop_timer(host: Host, token: str, place: str) -> None:
    if os.path.exists(f"{place}/{_PID}"):
        with open(f"{place}/{_PID}", encoding="ascii") as file:
            pid = int(file.read())
        import signal

        try:
            os.killpg(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
    else:
        host.run(["systemctl", "stop", f"{_unit(token)}.timer"])


def _remove_old(host: Host) -> None:
    """Remove what a restart of the host left of changes that nobody decided about."""
    directory = host.path(DIRECTORY)
    for token in os.listdir(directory) if os.path.isdir(directory) else ():
        try:
            with open(f"{directory}/{token}/{_DEADLINE}", encoding="ascii") as file:
                over = float(file.read()) + _GRACE < time.time()
        except (OSError, ValueError):
            over = True
        if over:
            _disarm_boot(host, token)
            shutil.rmtree(f"{directory}/{token}", ignore_errors=True)


def _disarm_boot(host: Host, token: str) -> None:
    files = Files(host)
    there = [path for path in reversed(_boot_unit(token)) if os.path.lexists(host.path(path))]
    for path in there:
        files.remove(path)
    files.settle()
    if there:
        host.run(["systemctl", "daemon-reload"])


def _unit(token: str) -> str:
    return f"factory-revert-{token}"


def _boot_unit(token: str) -> tuple[str, str]:
    """Name the unit that takes a change back at a boot, and the link that enables it."""
    name = f"{_unit(token)}-boot.service"
    return f"{names.UNITS}/{name}", f"{_WANTS}/{name}"
