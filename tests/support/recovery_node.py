"""A node in a folder: the recovery library runs for real on real files, devices and mounts are played.

Also a clock that never waits, and a way to end a run anywhere: :class:`Killer` raises :class:`Killed` at one call.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.longhorn.flow.interfaces import Completed, NodeError
from components.longhorn.recovery import RecoveryError, image, node_agent


class Killed(BaseException):
    """The process is gone. Not an Exception: nothing may catch it and go on."""


@dataclass
class FakeClock:
    """Time passes only when somebody sleeps; ``tick`` is what the world does meanwhile."""

    tick: Callable[[], None] = lambda: None
    time_now: float = 1_800_000_000.0

    def monotonic(self) -> float:
        return self.time_now

    def now(self) -> float:
        return self.time_now

    def sleep(self, seconds: float) -> None:
        self.time_now += seconds
        self.tick()


class TickingClock:
    """Real time, in short steps; between them the controllers work."""

    def __init__(self, tick: Callable[[], None] = lambda: None) -> None:
        self.tick = tick

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        self.tick()
        time.sleep(min(seconds, 0.15))


@dataclass
class Device:
    """A block device of Longhorn: what it carries."""

    size: int
    uuid: str = ""
    kind: str = ""
    files: Path | None = None
    formats: int = 0


@dataclass
class FolderNode:
    """A node. ``device`` gives the device at a path if it is attached here now."""

    name: str
    root: Path
    device: Callable[[str, str], Device | None]
    commands: list[str] = field(default_factory=list)
    rsync_status: int = 0
    unreadable: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    memory: bool = False
    free: int = 1 << 40
    unmountable: set[str] = field(default_factory=set)
    """Directories whose image does not mount."""
    unreachable: bool = False
    holds_replicas: bool = False
    """All nodes share one folder; a scan finds something on those only that hold it."""
    _jobs: dict[str, Completed] = field(default_factory=dict)

    def run(self, command: Sequence[str], *, timeout: float = 60) -> Completed:  # noqa: ARG002 - the protocol's
        if self.unreachable:
            raise NodeError(f"{self.name}: no answer")
        if command[0] == "test":
            return Completed(0 if Path(command[2]).exists() else 1, "", "")
        if command[0] == "python3":
            self.commands.append(command[3])
            return self._library(list(command[3:]))
        name, arguments = command[3].removeprefix("factory-"), list(command[4:])
        self.commands.append(name)
        answer: Completed = getattr(self, f"_{name.replace('-', '_')}")(*arguments)
        return answer

    def put(self, content: bytes, target: str, mode: int = 0o644) -> None:  # noqa: ARG002 - the protocol's
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _library(self, arguments: list[str]) -> Completed:
        if arguments[0] == "scan" and not self.holds_replicas:
            return Completed(0, '{"directories": []}', "")
        try:
            result = node_agent._run(arguments)
        except RecoveryError as error:
            return Completed(int(error.status), json.dumps({"error": {"code": error.code, "message": str(error)}}), "")
        if arguments[0] == "space":
            result |= {"free": self.free, "memory": self.memory}
        return Completed(0, json.dumps(result, default=str), "")

    def _start(self, _jobs: str, job: str, *command: str) -> Completed:
        self.commands.pop()
        self._jobs[job] = self.run(command)
        return Completed(0, "", "")

    def _poll(self, _jobs: str, job: str) -> Completed:
        self.commands.pop()
        return Completed(0, f"{self._jobs[job].status}\n", "")

    def _fetch(self, _jobs: str, job: str, part: str) -> Completed:
        self.commands.pop()
        return Completed(0, getattr(self._jobs[job], part), "")

    def _look(self, _socket: str, _data: str) -> Completed:
        return Completed(0, "socket=yes\ndata=yes\n", "")

    def _inventory(self, data_path: str) -> Completed:
        found = sorted(Path(data_path, "replicas").iterdir()) if self.holds_replicas else []
        sizes = [(sum(file.stat().st_blocks for file in path.iterdir()) // 2, path.name) for path in found]
        return Completed(0, "".join(f"{size}\t{name}\n" for size, name in sizes), "")

    def _tools(self, *_wanted: str) -> Completed:
        return Completed(0, "\n".join(self.lacking), "")

    def _test_mount(self, path: str, *_how: str) -> Completed:
        if any(name in path for name in self.unmountable):
            return Completed(32, "", "wrong fs type, bad superblock")
        names = [item.path.strip("/") for item in image.listing(Path(path)) if item.path.count("/") == 1]
        return Completed(0, "\n".join(names), "")

    def _repair(self, path: str, scratch: str) -> Completed:
        shutil.copyfile(path, scratch)
        done = subprocess.run(["e2fsck", "-fy", scratch], capture_output=True, check=False)
        return Completed(0 if done.returncode <= 3 else done.returncode, "", "")

    def _probe(self, path: str, marker: str) -> Completed:
        device = self.device(self.name, Path(path).name)
        if device is None:
            return Completed(0, "block=no\n", "")
        text = f"block=yes\nsize={device.size}\n"
        if device.kind:
            text += f"TYPE={device.kind}\nUUID={device.uuid}\n"
        if Path(marker).exists():
            text += f"complete={Path(marker).read_text()}\n"
        return Completed(0, text, "")

    def _format(self, path: str, uuid: str, marker: str) -> Completed:
        device = self.device(self.name, Path(path).name)
        if device is None or device.kind:
            return Completed(9, "", "already carries something")
        Path(marker).unlink(missing_ok=True)
        device.kind, device.uuid, device.formats = "ext4", uuid, device.formats + 1
        device.files = self.root / f"device-{Path(path).name}"
        device.files.mkdir()
        return Completed(0, "", "")

    def _copy(self, path: str, image_path: str, *how: str) -> Completed:
        uuid = how[2]
        device = self.device(self.name, Path(path).name)
        if device is None or device.uuid != uuid or device.files is None:
            return Completed(9, "", "not ours")
        shutil.rmtree(device.files)
        image.extract(Path(image_path), ["/"], device.files)
        shutil.rmtree(device.files / "lost+found", ignore_errors=True)
        for name in self.unreadable:
            (device.files / name).unlink()
        lines = [f"rsync={self.rsync_status}", f"compared={self.rsync_status}", f"differing={len(self.unreadable)}"]
        lines += [*(f"differs={name}" for name in self.unreadable)]
        lines += [f"unreadable={name}: Structure needs cleaning (117)" for name in self.unreadable]
        files = [item for item in device.files.rglob("*") if item.is_file()]
        lines += [f"files={len(files)}", f"bytes={sum(item.stat().st_size for item in files)}", "fsck=0"]
        return Completed(0, "\n".join(lines), "")

    def _marker(self, path: str, text: str) -> Completed:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
        return Completed(0, "", "")

    def _mounted(self, _mounts: str) -> Completed:
        return Completed(0, "", "")


class Killer:
    """Counts the calls that reach the world and ends the run before or after one of them."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.calls = 0
        self.log: list[str] = []
        """What each call was, from the first."""
        self._at = at
        self._after = after

    def around(self, target: Any) -> Any:
        """Wrap an object so that each of its public methods counts."""
        return _Watched(target, self)

    def call(self, what: str, work: Callable[[], Any]) -> Any:
        self.calls += 1
        self.log.append(what)
        if self.calls == self._at and not self._after:
            raise Killed
        result = work()
        if self.calls == self._at:
            raise Killed
        return result


class _Watched:
    def __init__(self, target: Any, killer: Killer) -> None:
        self._target = target
        self._killer = killer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found
        return lambda *given, **named: self._killer.call(name, lambda: found(*given, **named))
