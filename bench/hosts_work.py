"""What every peer of the benchmark `hosts` has to bring about, and how a machine is looked at afterwards."""

from __future__ import annotations

import grp
import hashlib
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.machines import Machine

FILES = 50
PACKAGES = 50
UNITS = 20
FOLDER = "/srv/bench"
MODE = "0640"
OWNER, GROUP = "root", "daemon"
_BYTES = 1500
_UNIT = """\
[Unit]
Description=A service of the benchmark

[Service]
ExecStart=/usr/bin/sleep infinity

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Target:
    """How a peer reaches one machine, as root and with the machine's key pinned."""

    address: str
    port: int
    host_key: str
    identity_file: Path

    @property
    def known_hosts(self) -> str:
        """The line of a file of known hosts."""
        place = self.address if self.port == 22 else f"[{self.address}]:{self.port}"  # noqa: PLR2004 - SSH's port
        return f"{place} {self.host_key}\n"


@dataclass(frozen=True)
class Work:
    """Files by name with their content, packages that are installed, units that are enabled and running."""

    files: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def with_one_changed(self, version: int) -> Work:
        """Give one of the files another content."""
        name = min(self.files)
        return replace(self, files={**self.files, name: _content(name, version)})


def files() -> Work:
    """Return the fifty files."""
    return Work({f"file-{number:02}.conf": _content(str(number), 0) for number in range(FILES)})


def checks(machine: Machine) -> Work:
    """Fifty of the packages that a machine has, and the units of `units_seed`."""
    listed = machine.run("dpkg-query", "--show", "--showformat", "${Package}\n").stdout.split()
    return Work(packages=tuple(sorted(listed)[:PACKAGES]), units=tuple(_unit_names()))


def units_seed(folder: Path) -> Path:
    """Write the units, enabled, for a machine's start."""
    units = folder / "etc/systemd/system"
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(parents=True)
    for name in _unit_names():
        (units / name).write_text(_UNIT)
        (wanted / name).symlink_to(f"/etc/systemd/system/{name}")
    return folder


def clean(machine: Machine) -> None:
    """Take away what a run has made."""
    machine.run("rm", "-rf", FOLDER)
    machine.run("mkdir", FOLDER)


def verify(machine: Machine, work: Work) -> None:
    """Raise ValueError unless content, mode and owner of each file are right."""
    owners = pwd.getpwnam(OWNER).pw_uid, _group(machine)
    for name, content in work.files.items():
        path = machine.path(f"{FOLDER}/{name}")
        found = path.stat()
        seen = path.read_bytes(), f"{stat.S_IMODE(found.st_mode):04o}", (found.st_uid, found.st_gid)
        if seen != (content.encode(), MODE, owners):
            raise ValueError(f"{name} is not as it should be: mode {seen[1]}, owners {seen[2]}")


def _group(machine: Machine) -> int:
    lines = machine.path("/etc/group").read_text().splitlines()
    numbers = {line.split(":")[0]: int(line.split(":")[2]) for line in lines}
    return numbers.get(GROUP, grp.getgrnam(GROUP).gr_gid)


def _unit_names() -> list[str]:
    return [f"bench-{number:02}.service" for number in range(UNITS)]


def _content(name: str, version: int) -> str:
    line = f"# {name} {version} {hashlib.sha256(name.encode()).hexdigest()}\n"
    return line * (_BYTES // len(line))
