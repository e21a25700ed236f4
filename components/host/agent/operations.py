"""Doing what a plan says: each operation by its name, with the arguments that the planners gave it."""

from __future__ import annotations

import os
import time

from . import facts
from .errors import AgentError, Refusal, failed
from .fs import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from .fs import Files
    from .host import Host
    from .plan import Content

    Attributes = tuple[str | None, str | None, str | None]
    """Mode, owner and group; None: as it comes."""

APT = [
    "apt-get",
    "--quiet",
    "--assume-yes",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
]
APT_ENVIRONMENT = {"APT_LISTCHANGES_FRONTEND": "none", "NEEDRESTART_SUSPEND": "1"}
APT_SECONDS = 1800.0
APT_LOCK_SECONDS = 120.0
_APT_PAUSE = 2.0
_LOCKED = ("Could not get lock", "Unable to lock", "Unable to acquire", "is another process using it")
_UNKNOWN = ("Unable to locate package", "was not found", "has no installation candidate", "Unable to fetch", "404")
_COMMAND_SECONDS = 120.0
_SERVICE_SECONDS = 150.0
_SETTLE_SECONDS = 0.25
_SSH_MODE, _KEYS_MODE = 0o700, 0o600
_PIECE = 256 * 1024


class Skipped(Exception):  # noqa: N818 it is an answer, not an accident
    """A step's guard says, when its turn comes, that there is nothing to do."""


class Operations:
    """The operations. ``blob`` gives the pieces of the next blob that the caller sends."""

    def __init__(self, host: Host, files: Files, resource: str, blob: Callable[[str], Iterator[bytes]]) -> None:
        self._host = host
        self._files = files
        self._resource = resource
        self._blob = blob
        self._updated = False
        self._serving: float | None = None

    def do(self, operation: tuple[Any, ...]) -> None:
        """Do one operation. Raises AgentError with the program's last words, or Skipped."""
        name, *arguments = operation
        try:
            getattr(self, f"_{name}")(*arguments)
        except Refusal as refusal:
            raise failed(str(refusal)) from refusal

    def _write(self, path: str, content: Content, attributes: Attributes, validate: Sequence[str] | None) -> None:
        pieces: Any = self._blob(content.sha256) if content.data is None else [content.data]
        numbers = self._numbers(attributes)
        self._files.write(path, pieces, **numbers, validate=validate, sha256=content.sha256, secret=content.secret)

    def _numbers(self, attributes: Attributes) -> dict[str, Any]:
        mode, owner, group = attributes
        numbers = {"owner": self._host.user_number(owner), "group": self._host.group_number(group)}
        return {"mode": int(mode, 8) if mode else None, **numbers}

    def _attributes(self, path: str, attributes: Attributes) -> None:
        self._files.attributes(path, **self._numbers(attributes))

    def _make_directory(self, path: str, attributes: Attributes) -> None:
        self._files.make_directory(path, **self._numbers(attributes))

    def _remove_directory(self, path: str, must: bool) -> None:  # noqa: FBT001 an argument of a plan
        self._files.remove_directory(path, must=must)

    def _remove(self, path: str) -> None:
        self._files.remove(path)

    def _link(self, path: str, target: str) -> None:
        self._files.link(path, target)

    def _backup(self, path: str, copy: str) -> None:
        status = os.stat(self._host.path(path))
        with open(self._host.path(path), "rb") as file:
            pieces = iter(lambda: file.read(_PIECE), b"")
            mode = status.st_mode & 0o7777
            self._files.write(copy, pieces, mode=mode, owner=status.st_uid, group=status.st_gid)

    def _edit(self, path: str, editor: str, arguments: dict[str, Any], creating: dict[str, Any] | None) -> None:
        """Edit a foreign file as it is now: a package or a step may have changed it since the plan."""
        place = self._host.path(path)
        text = None
        attributes: dict[str, Any] = {"mode": int((creating or {}).get("mode", "0644"), 8)}
        if os.path.lexists(place):
            status = os.lstat(place)
            if kind_of(status.st_mode) != "file":
                raise failed(f"{path}: it is no file, so it is not edited")
            text = facts.text_of(place, status.st_size)
            if text is None:
                raise failed(f"{path}: it is not a text of a moderate size (UTF-8, at most 4 MiB), so it is not edited")
            attributes = {"mode": status.st_mode & 0o7777, "owner": status.st_uid, "group": status.st_gid}
        elif creating is None:
            raise failed(f"{path}: there is no such file, and nothing in this run brought it")
        try:
            new = _editor(editor)(text, **arguments)
        except Refusal as refusal:
            raise failed(f"{path}: {refusal}") from refusal
        if new != text and new is not None:
            validate = (creating or {}).get("validate_with")
            data = new.encode("utf-8", "surrogateescape")
            self._files.write(path, [data], **attributes, validate=validate)

    def _edit_keys(self, user: str, arguments: dict[str, Any]) -> None:
        from .edit_lines import authorized_keys

        fields = self._host.accounts("passwd").get(user)
        if fields is None:
            raise failed(f"the user {user!r} does not exist on the host")
        owner, group, directory = int(fields[2]), int(fields[3]), f"{fields[5]}/.ssh"
        place = self._host.path(directory)
        if not os.path.lexists(place):
            self._files.make_directory(directory, mode=_SSH_MODE, owner=owner, group=group)
        status = os.lstat(place)
        if kind_of(status.st_mode) != "directory" or status.st_uid not in (owner, 0, os.geteuid()):
            raise failed(f"{directory}: it is no directory of the user {user!r}: nothing is written through it")
        path = f"{directory}/authorized_keys"
        text = authorized_keys(self._host.read(path), **arguments)
        self._files.write(
            path, [(text or "").encode("utf-8", "surrogateescape")], mode=_KEYS_MODE, owner=owner, group=group
        )

    def _poke(self, path: str, value: str) -> None:
        try:
            with open(self._host.path(path), "w", encoding="utf-8") as file:
                file.write(value + "\n")
        except OSError as error:
            raise failed(f"{path}: the kernel refused the value {value!r} ({error.strerror})") from error

    def _download(self, path: str, source: tuple[str, str, float], attributes: Attributes) -> None:
        from .download import fetch

        url, sha256, timeout = source
        self._files.write(path, fetch(url, timeout), **self._numbers(attributes), sha256=sha256)

    def _run(self, argv: list[str]) -> None:
        done = self._host.run(argv, timeout=_COMMAND_SECONDS)
        if done.status != 0:
            raise done.error(f"{' '.join(argv)} failed")

    def _remove_group(self, name: str) -> None:
        """Remove a group; userdel may have taken a user's own group along."""
        if name in self._host.accounts("group"):
            self._run(["groupdel", name])

    def _mount(self, point: str, source: str) -> None:
        """Mount what fstab says. With ``nofail`` a missing device is no failure for mount, but it is one for us."""
        from . import facts_system

        self._run(["mount", point])
        if point not in facts_system.mount_points(self._host):
            raise failed(f"{point} is not mounted: {source} is not there; attach the device, or correct its label")

    def _service(self, verb: str, name: str) -> None:
        from . import facts_system

        if self._serving is None:
            self._serving = time.monotonic()
        # A package starts its service at once, with the files that it brings: by now the document's are there.
        since = facts_system.active_since(self._host, name) if verb == "start" else None
        if since is not None and since < self._serving:
            verb = "restart"
        done = self._host.run(["systemctl", verb, "--", name], timeout=_SERVICE_SECONDS)
        if done.status != 0:
            done.stderr += self._log(name)
            raise done.error(f"{name} did not {verb}")

    def require_running(self, names: Sequence[str]) -> None:
        """Look a moment after the last start which of these services has failed since; raises AgentError for one."""
        from . import facts_system

        time.sleep(_SETTLE_SECONDS)
        for name, fact in facts_system.units(self._host, list(names)).items():
            if fact and fact["active"] == "failed":
                lines = self._log(name).splitlines()
                raise failed(f"{name} started and failed at once", item=f"units:{name}", stderr=lines)

    def _log(self, name: str) -> str:
        done = self._host.run(["journalctl", "--unit", name, "--lines", "10", "--no-pager", "--output", "cat"])
        return done.stdout

    def _step(self, name: str, entry: Mapping[str, Any]) -> None:
        from .plan_services import guards_say_run

        fact = facts.step_fact(self._host, {**entry, "once_for": None}, self._resource, name)
        if not guards_say_run(entry, fact):
            raise Skipped
        done = self._host.run(
            entry["run"],
            timeout=float(entry.get("timeout", 300)),
            stdin=entry["stdin"].encode("utf-8", "surrogatepass") if "stdin" in entry else None,
            **facts.step_surroundings(self._host, entry),
            may_cancel=True,
        )
        if done.status != 0:
            raise done.error(f"the step {name!r} failed", secret=bool(entry.get("secret")))
        if "creates" in entry and not os.path.lexists(self._host.path(entry["creates"])):
            raise failed(f"the step {name!r} ended well but did not create {entry['creates']}", command=entry["run"])

    def _finish_packages(self) -> None:
        argv = ["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"]
        done = self._package_call(argv)
        if done.status != 0:
            raise done.error("finishing what an interrupted dpkg left")

    def _update_packages(self) -> None:
        done = self._package_call(["apt-get", "--quiet", "-o", "APT::Update::Error-Mode=any", "update"])
        if done.status != 0:
            raise done.error("reading the lists of the package repositories")
        self._updated = True

    def _install_packages(self, wanted: list[str], updated: bool) -> None:  # noqa: FBT001 an argument of a plan
        from . import facts_system

        argv = [*APT, "--allow-downgrades", "--allow-change-held-packages", "install", "--", *wanted]
        if any("=" in word for word in wanted) and not (updated or self._updated):
            self._update_packages()
        done = self._package_call(argv)
        if done.status != 0 and not (updated or self._updated) and any(sign in done.stderr for sign in _UNKNOWN):
            self._update_packages()
            done = self._package_call(argv)
        if done.status != 0:
            raise done.error(f"installing {', '.join(wanted)}")
        names_only = [word.partition("=")[0] for word in wanted if not word.endswith("-")]
        there = facts_system.packages(self._host, names_only) if names_only else {}
        if missing := [name for name in names_only if not there[name]]:
            raise failed(f"apt-get ended well, but {', '.join(missing)} is not installed: is it a virtual package?")

    def _mark_packages(self, verb: str, marked: list[str]) -> None:
        self._run(["apt-mark", verb, *marked])

    def _package_call(self, argv: list[str]) -> Any:
        """Call apt-get or dpkg; waits while somebody else has the lock of the packages."""
        deadline = time.monotonic() + APT_LOCK_SECONDS
        while True:
            done = self._host.run(argv, timeout=APT_SECONDS, environment=APT_ENVIRONMENT)
            if done.status in (0, None) or not any(sign in done.stderr for sign in _LOCKED):
                return done
            if time.monotonic() >= deadline:
                message = (
                    f"another program holds the lock of the packages (waited {APT_LOCK_SECONDS:.0f} s): wait for it"
                )
                raise AgentError("failed", message, command=argv, status=done.status, stderr=done.last_lines())
            time.sleep(_APT_PAUSE)


def _editor(name: str) -> Callable[..., str | None]:
    """Give an editor of texts by its name."""
    from . import edit_lines, edit_merge

    editors: dict[str, Callable[..., str | None]] = {
        "block": edit_lines.block,
        "merge": edit_merge.merge,
        "fstab": edit_lines.fstab,
    }
    return editors[name]
