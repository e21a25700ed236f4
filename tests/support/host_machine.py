"""A Debian machine in a directory: its programs are doubles that read and change the files which the real ones do.

They refuse what the real ones refuse (an unknown package, a unit that is not there), and note every call.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.host.agent.applying import Apply
from components.host.agent.facts import gather, with_journal
from components.host.agent.host import Host
from components.host.agent.plan import Planning
from components.host.agent.planner import plan
from components.host.agent.runner import Done, Runner
from components.host.args import HostStateArgs

UNIT_FOLDERS = ("etc/systemd/system", "lib/systemd/system")
Document = dict[str, Any]
Owned = dict[str, dict[str, Any]]


class Machine(Runner):
    """The doubles. ``packages`` maps what can be installed to its version and the unit that it brings."""

    def __init__(self, root: Path, packages: dict[str, tuple[str, str | None]] | None = None) -> None:
        super().__init__()
        self.root = root
        self.available = packages or {}
        self.installed: dict[str, dict[str, Any]] = {}
        self.units: dict[str, dict[str, Any]] = {}
        self.stale = False
        self.calls: list[list[str]] = []
        for folder in (*UNIT_FOLDERS, "run/systemd/system", "run/lock", "proc/self", "proc/sys/net/ipv4", "sys/module"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for file, text in {
            "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
            "etc/group": "root:x:0:\nadm:x:4:\n",
            "etc/fstab": "# <source> <point>\n",
            "proc/self/mountinfo": "",
            "proc/sys/net/ipv4/ip_forward": "0\n",
            "proc/sys/net/ipv4/tcp_syncookies": "0\n",
        }.items():
            (root / file).write_text(text)

    def run(self, argv: Sequence[str], **_options: Any) -> Done:
        """Answer as the program would."""
        self.calls.append(list(argv))
        name = f"_{argv[0].replace('-', '_')}"
        if not hasattr(self, name):
            return Done(argv, 127, "", f"No such file or directory: {argv[0]}")
        status, out = getattr(self, name)(list(argv[1:]))
        return Done(argv, status, out, "" if status == 0 else out)

    def called(self, *start: str) -> list[list[str]]:
        """The calls that begin so."""
        return [call for call in self.calls if call[: len(start)] == list(start)]

    # packages

    def _dpkg_query(self, words: list[str]) -> tuple[int, str]:
        names = [word for word in words if not word.startswith("--")]
        found = [
            f"{name}\t{name}\t{fact['version']}\t{'h' if fact.get('held') else 'i'}i \n"
            for name in names
            if (fact := self.installed.get(name))
        ]
        return (0 if len(found) == len(names) else 1), "".join(found)

    def _apt_get(self, words: list[str]) -> tuple[int, str]:
        if words[-1] == "update":
            return 0, ""
        wanted = words[words.index("--") + 1 :]
        for word in wanted:
            name, _, version = word.removesuffix("-").partition("=")
            if name not in self.available or (version and version != self.available[name][0]):
                return 100, f"E: Unable to locate package {name}"
        for word in wanted:
            name = word.removesuffix("-").partition("=")[0]
            version, unit = self.available[name]
            place = self.root / "lib/systemd/system" / (unit or "none")
            if word.endswith("-"):
                self.installed.pop(name, None)
                if unit:
                    place.unlink(missing_ok=True)
                    self.units.pop(unit, None)
                continue
            self.installed[name] = {"version": version}
            if unit and not place.exists():
                place.write_text("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
                self.units[unit] = {"active": True, "enabled": True, "starts": 1, "since": time.monotonic()}
        return 0, ""

    def _apt_mark(self, words: list[str]) -> tuple[int, str]:
        for name in words[1:]:
            self.installed[name]["held"] = words[0] == "hold"
        return 0, ""

    # users

    def _lines(self, file: str) -> list[list[str]]:
        return [line.split(":") for line in (self.root / file).read_text().splitlines()]

    def _store(self, file: str, lines: list[list[str]]) -> None:
        (self.root / file).write_text("".join(":".join(line) + "\n" for line in lines))

    def _groupadd(self, words: list[str]) -> tuple[int, str]:
        lines = self._lines("etc/group")
        given = _options(words)
        if any(line[0] == words[-1] for line in lines):
            return 9, "group exists"
        number = given.get("--gid") or str(1 + max(int(line[2]) for line in lines))
        self._store("etc/group", [*lines, [words[-1], "x", number, ""]])
        return 0, ""

    def _groupmod(self, words: list[str]) -> tuple[int, str]:
        lines = self._lines("etc/group")
        for line in lines:
            if line[0] == words[-1]:
                line[2] = _options(words)["--gid"]
        self._store("etc/group", lines)
        return 0, ""

    def _groupdel(self, words: list[str]) -> tuple[int, str]:
        if not any(line[0] == words[-1] for line in self._lines("etc/group")):
            return 6, f"group '{words[-1]}' does not exist"
        self._store("etc/group", [line for line in self._lines("etc/group") if line[0] != words[-1]])
        return 0, ""

    def _useradd(self, words: list[str]) -> tuple[int, str]:
        name, given = words[-1], _options(words)
        lines = self._lines("etc/passwd")
        if "--user-group" in words:
            self._groupadd([name])
        group = given.get("--gid", name)
        numbers = {line[0]: line[2] for line in self._lines("etc/group")}
        if group not in numbers:
            return 6, f"group '{group}' does not exist"
        number = given.get("--uid") or str(1000 + len(lines))
        home = given.get("--home-dir", f"/home/{name}")
        fields = [name, "x", number, numbers[group], given.get("--comment", ""), home, given.get("--shell", "/bin/sh")]
        self._store("etc/passwd", [*lines, fields])
        if "--create-home" in words:
            (self.root / home.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return self._join(name, given.get("--groups", ""))

    def _usermod(self, words: list[str]) -> tuple[int, str]:
        name, given = words[-1], _options(words)
        lines = self._lines("etc/passwd")
        numbers = {line[0]: line[2] for line in self._lines("etc/group")}
        for line in lines:
            if line[0] == name:
                places = {"--uid": 2, "--comment": 4, "--home": 5, "--shell": 6}
                for option, place in places.items():
                    line[place] = given.get(option, line[place])
                line[3] = numbers[given["--gid"]] if "--gid" in given else line[3]
        self._store("etc/passwd", lines)
        return self._join(name, given.get("--groups", ""))

    def _join(self, name: str, groups: str) -> tuple[int, str]:
        lines = self._lines("etc/group")
        for group in filter(None, groups.split(",")):
            line = next((line for line in lines if line[0] == group), None)
            if line is None:
                return 6, f"group '{group}' does not exist"
            line[3] = ",".join(sorted({*filter(None, line[3].split(",")), name}))
        self._store("etc/group", lines)
        return 0, ""

    def _userdel(self, words: list[str]) -> tuple[int, str]:
        self._store("etc/passwd", [line for line in self._lines("etc/passwd") if line[0] != words[-1]])
        lines = self._lines("etc/group")
        for line in lines:
            line[3] = ",".join(each for each in line[3].split(",") if each != words[-1])
        # A user's own group goes with it, as long as nobody else is in it.
        self._store("etc/group", [line for line in lines if line[0] != words[-1] or line[3]])
        return 0, ""

    # kernel

    def _modprobe(self, words: list[str]) -> tuple[int, str]:
        place = self.root / "sys/module" / words[-1].replace("-", "_")
        place.rmdir() if words[0] == "--remove" else place.mkdir(exist_ok=True)
        return 0, ""

    def _mount(self, words: list[str]) -> tuple[int, str]:
        if words[0] == "-o":
            return 0, ""
        point = words[-1].replace(" ", "\\040")
        if f"\t{point}\t" not in (self.root / "etc/fstab").read_text():
            return 1, f"mount: {words[-1]}: can't find in /etc/fstab."
        with (self.root / "proc/self/mountinfo").open("a") as file:
            file.write(f"1 2 8:1 / {point} rw - ext4 /dev/sda1 rw\n")
        return 0, ""

    def _umount(self, words: list[str]) -> tuple[int, str]:
        table = self.root / "proc/self/mountinfo"
        point = words[-1].replace(" ", "\\040")
        kept = [line for line in table.read_text().splitlines() if line.split()[4] != point]
        table.write_text("".join(f"{line}\n" for line in kept))
        return 0, ""

    # services

    def _file_of(self, name: str) -> Path | None:
        return next((place for folder in UNIT_FOLDERS if (place := self.root / folder / name).exists()), None)

    def _systemctl(self, words: list[str]) -> tuple[int, str]:
        verb, names = words[0], [word for word in words[1:] if not word.startswith("--")]
        if verb == "show":
            return 0, "\n\n".join(map(self._shown, names))
        if verb == "daemon-reload":
            self.units = {name: {**unit, "read": self._text(name)} for name, unit in self.units.items()}
            return 0, ""
        for name in names:
            unit = self.units.setdefault(
                name, {"active": False, "enabled": False, "starts": 0, "read": self._text(name)}
            )
            if verb in ("mask", "unmask"):
                unit["masked"] = verb == "mask"
                continue
            if self._file_of(name) is None and verb not in ("stop", "disable"):
                return 5, f"Unit {name} not found."
            if verb in ("enable", "disable"):
                unit["enabled"] = verb == "enable"
            elif verb in ("start", "restart"):
                if unit.get("masked"):
                    return 1, f"Unit {name} is masked."
                starts = unit["starts"] + (verb == "restart" or not unit["active"])
                unit.update(active=True, starts=starts, since=time.monotonic())
            elif verb == "stop":
                unit["active"] = False
        return 0, ""

    def _text(self, name: str) -> str:
        file = self._file_of(name)
        drop_ins = sorted((self.root / "etc/systemd/system" / f"{name}.d").glob("*.conf"))
        return "".join(each.read_text() for each in [*([file] if file else []), *drop_ins])

    def _shown(self, name: str) -> str:
        unit = self.units.get(name, {})
        file = self._file_of(name)
        load = "masked" if unit.get("masked") else "loaded" if file else "not-found"
        state = "masked" if unit.get("masked") else ("enabled" if unit.get("enabled") else "disabled") if file else ""
        stale = "yes" if unit.get("active") and unit.get("read", self._text(name)) != self._text(name) else "no"
        fields = {"Id": name, "Names": name, "LoadState": load, "UnitFileState": state, "NeedDaemonReload": stale}
        fields["ActiveState"] = "active" if unit.get("active") else "inactive"
        fields["ActiveEnterTimestampMonotonic"] = str(int(unit.get("since", 0) * 1e6))
        return "".join(f"{key}={value}\n" for key, value in fields.items()).rstrip("\n")

    # steps

    def _touch(self, words: list[str]) -> tuple[int, str]:
        place = self.root / words[0].lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        return 0, ""

    def _test(self, words: list[str]) -> tuple[int, str]:
        return (0 if (self.root / words[-1].lstrip("/")).exists() else 1), ""

    def _false(self, _words: list[str]) -> tuple[int, str]:
        return 1, "it did not work"


def _options(words: Sequence[str]) -> dict[str, str]:
    return {word: words[number + 1] for number, word in enumerate(words[:-1]) if word.startswith("--")}


class Driver:
    """The agent driven without a wire, for one resource on one machine."""

    def __init__(self, host: Host, resource: str = "role") -> None:
        self.host = host
        self.resource = resource
        self.owned: Owned = {}
        self.told: list[dict[str, Any]] = []

    @classmethod
    def on(cls, machine: Machine) -> Driver:
        """Drive a machine of doubles."""
        return cls(Host(str(machine.root), machine, system=True))

    def plan(self, desired: Document) -> Planning:
        """Plan what a person wrote."""
        document = HostStateArgs.model_validate(desired).document()
        facts = gather(self.host, document, self.owned, self.resource)
        owned = with_journal(self.owned, facts.get("journal"))
        planning = Planning(document, facts, owned, resource=self.resource, keyed_hash=self.host.keyed_hash)
        return plan(planning)

    def apply(self, desired: Document, delivered: Callable[[Owned], None] = lambda _owned: None) -> list[str]:
        """Plan and apply; returns the items that changed, and keeps what is owned. ``delivered`` gets it first."""
        applying = Apply(
            self.host,
            self.plan(desired),
            known=self.owned,
            token="token",
            blob=lambda _: iter(()),
            progress=self.told.append,
        )
        result = applying.run()
        self.owned = json.loads(json.dumps(result["owned"]))
        delivered(self.owned)
        applying.acknowledge()
        return list(result["applied"])

    def pending(self, desired: Document) -> list[dict[str, Any]]:
        """What a second run would do, and what stands against it."""
        planning = self.plan(desired)
        return [action.public() for action in planning.actions] + [dict(each) for each in planning.problems]


@contextmanager
def quick_directory() -> Iterator[Path]:
    """A directory in memory where there is one: these tests sync hundreds of files, and the disk proves nothing."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="factory-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        yield place
    finally:
        shutil.rmtree(place)


def tree(root: Path) -> dict[str, Any]:
    """Everything below a directory: type, mode and content."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: Any = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (oct(status.st_mode), content)
    return found
