"""Whether somebody works on a replica directory right now: open files, loop devices, locks (LHR-046)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .findings import Finding

_PROC = Path("/proc")
_LOOPS = Path("/sys/block")
_INODE_FIELD = 5
_GONE = (-1, -1)
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class Users:
    """Who uses which file, and how many processes may not be looked into."""

    of: dict[Path, tuple[str, ...]]
    blind: int = 0

    def findings(self, files: Iterable[Path]) -> list[Finding]:
        """Return what that means for a directory with these files."""
        found = [Finding("in-use", use, file.name) for file in files for use in self.of.get(file, ())]
        if self.blind:
            found.append(Finding("in-use-unknown", f"{self.blind} processes may not be looked into"))
        return found


def users_of(files: Iterable[Path], *, proc: Path = _PROC, loops: Path = _LOOPS) -> Users:
    """Return who has one of the files open for writing, locked, or behind a loop device.

    Readers do no harm. Processes of other users can only be looked into by root.
    """
    wanted = {identity: file for file in files if (identity := _identity(file)) != _GONE}
    if not wanted or not proc.is_dir():
        return Users({})
    seen, blind = _processes(wanted, proc)
    uses: dict[Path, set[str]] = {}
    for file, users in seen.items():
        uses.setdefault(file, set()).update(f"{user} has it open for writing" for user in users)
    for device, file in _devices(wanted, loops):
        uses.setdefault(file, set()).add(f"{device} is made of it")
    for pid, file in _locks(wanted, proc):
        uses.setdefault(file, set()).add(f"process {pid} has locked it")
    return Users({file: tuple(sorted(said)) for file, said in uses.items()}, blind)


def _processes(wanted: dict[tuple[int, int], Path], proc: Path) -> tuple[dict[Path, set[str]], int]:
    """Ask for device and inode: in the engine's container the same file has another path."""
    seen: dict[Path, set[str]] = {}
    blind = 0
    for process in os.listdir(proc):  # noqa: PTH208 - thousands of files, and text is all that is needed of them
        if not process.isdigit():
            continue
        folder = f"{proc}/{process}"
        try:
            for fd in os.listdir(f"{folder}/fd"):  # noqa: PTH208 - as above
                file = wanted.get(_identity(f"{folder}/fd/{fd}"))
                if file is not None and _writes(Path(folder, "fdinfo", fd)):
                    seen.setdefault(file, set()).add(_describe(Path(folder)))
        except PermissionError:
            blind += 1
        except OSError:
            continue  # It has ended meanwhile.
    return seen, blind


def _identity(path: str | Path) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return _GONE
    return status.st_dev, status.st_ino


def _writes(info: Path) -> bool:
    for line in info.read_text("utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == "flags":
            return bool(int(value, 8) & _WRITE_FLAGS)
    return False


def _describe(process: Path) -> str:
    try:
        name = (process / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        name = "?"
    return f"process {process.name} ({name})"


def _devices(wanted: dict[tuple[int, int], Path], loops: Path) -> Iterator[tuple[str, Path]]:
    for backing in sorted(loops.glob("loop*/loop/backing_file")) if loops.is_dir() else ():
        try:
            file = wanted.get(_identity(Path(backing.read_text("utf-8").strip())))
        except OSError:
            continue
        if file is not None:
            yield f"/dev/{backing.parent.parent.name}", file


def _locks(wanted: dict[tuple[int, int], Path], proc: Path) -> Iterator[tuple[str, Path]]:
    """Read /proc/locks: number, kind, advisory or mandatory, access, process, major:minor:inode, range."""
    try:
        lines = (proc / "locks").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        fields = [field for field in line.split() if field != "->"]
        try:
            major, minor, inode = fields[_INODE_FIELD].split(":")
            file = wanted.get((os.makedev(int(major, 16), int(minor, 16)), int(inode)))
        except (IndexError, ValueError):
            continue
        if file is not None:
            yield fields[4], file
