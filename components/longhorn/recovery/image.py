"""Proves what a merged image holds, lists it and copies files out: without mounting, without root.

``verify`` looks at partitions, superblock and journal and runs the file system's own checker in its read-only mode;
``extract`` copies files and directories out. Both see the file system as after a replay of its journal.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import BadInputError, RecoveryError
from .files import UNFINISHED
from .image_detect import FileSystem, Partition, partitions
from .image_ext4 import Ext4, Inode, Read
from .image_journal import Replay, replayed
from .image_superblock import ImageError

__all__ = [
    "Check",
    "Extracted",
    "FileSystemReport",
    "ImageReport",
    "Listed",
    "extract",
    "listing",
    "open_image",
    "verify",
]

_CHECK_SECONDS = 3600
_TAIL_LINES = 12


@dataclass(frozen=True)
class Check:
    """What the file system's own checker said; it changed nothing."""

    tool: str
    verdict: str
    """``clean``, ``damaged``, or ``not run``."""
    detail: str


@dataclass(frozen=True)
class FileSystemReport:
    """One file system inside an image."""

    partition: int
    offset: int
    kind: str
    uuid: str
    label: str
    size: int
    """Bytes."""
    used: int
    """Bytes."""
    journal: str
    """``none``, ``clean``, ``needs replay``, ``damaged`` or ``unknown``."""
    replayed_transactions: int
    unmounted_cleanly: bool
    errors_seen: int
    root: tuple[str, ...]
    """The names in the root directory, after the replay."""
    check: Check
    problems: tuple[str, ...]


@dataclass(frozen=True)
class ImageReport:
    """What ``verify`` found."""

    path: str
    size: int
    file_systems: tuple[FileSystemReport, ...]

    @property
    def readable(self) -> bool:
        """Whether there is a file system, and each can be read."""
        return bool(self.file_systems) and not any(item.problems for item in self.file_systems)

    @property
    def locked(self) -> bool:
        """Whether all there is to see is an encrypted container: nothing is wrong with it, it wants its passphrase."""
        return bool(self.file_systems) and all(item.kind == FileSystem.LUKS.value for item in self.file_systems)

    @property
    def sound(self) -> bool:
        """Whether everything that could be checked is in order; an unreplayed journal is expected after a power cut."""
        return self.readable and all(
            item.check.verdict != "damaged" or item.journal == "needs replay" for item in self.file_systems
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "readable": self.readable, "sound": self.sound}


@dataclass(frozen=True)
class Listed:
    """A name inside an image."""

    path: str
    kind: str
    """``file``, ``directory``, ``link`` or ``other``."""
    size: int
    modified: int
    """Seconds since 1970."""
    target: str


@dataclass(frozen=True)
class Extracted:
    """What ``extract`` copied."""

    files: int
    directories: int
    links: int
    bytes: int
    skipped: tuple[str, ...]
    """What was not copied, with the reason."""
    problems: tuple[str, ...] = ()
    """What ``verify`` would say against the whole image."""


@contextmanager
def open_image(path: Path) -> Iterator[tuple[Read, int]]:
    """Open an image or a block device: a function that reads, and the size in bytes. Raises BadInputError."""
    if path.suffix == UNFINISHED:
        raise BadInputError("unfinished", f"{path}: a merge was interrupted here; run the same `merge` again to end it")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BadInputError("image", f"{path}: {error.strerror}; give the image that `merge` wrote") from error
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise BadInputError(
                "image", f"{path}: a directory, not an image; `merge` makes an image of a replica directory"
            )
        size = os.lseek(descriptor, 0, os.SEEK_END)
        yield (lambda offset, length: os.pread(descriptor, length, offset)), size
    finally:
        os.close(descriptor)


def verify(path: Path, *, run_checker: bool = True) -> ImageReport:
    """Look at everything an image holds (LHR-058, LHR-060). Raises BadInputError when it cannot be opened."""
    with open_image(path) as (read, size):
        found = partitions(read, size)
        reports = tuple(_examine(path, read, part, run_checker=run_checker) for part in found)
    return ImageReport(str(path), size, reports)


def listing(path: Path, below: str = "/", *, partition: int | None = None) -> list[Listed]:
    """List what lies below a path of the image, sorted. Raises RecoveryError when it cannot be read."""
    with open_image(path) as (read, size):
        system = _system(read, size, partition)[0]
        start = system.find(below)
        base = b"/".join(part for part in below.encode("utf-8", "surrogateescape").split(b"/") if part)
        prefix = b"/" + base if base else b""
        entries = system.walk(start, prefix) if start.is_directory else iter([(prefix, start)])
        return [_listed(system, name, inode) for name, inode in entries]


def extract(path: Path, wanted: Iterable[str], target: Path, *, partition: int | None = None) -> Extracted:
    """Copy paths of an image, directories with all below them, into the directory ``target``.

    Modes and times are kept; owners too when run as root. What exists already below ``target`` is never overwritten,
    and nothing leaves ``target``. Raises RecoveryError when a path is missing or the image cannot be read.
    """
    names = list(wanted)
    if not names:
        raise BadInputError("paths", "no path given: say which files or directories to copy out, `/` for all")
    with open_image(path) as (read, size):
        system, problems = _system(read, size, partition)
        found = [(name, system.find(name)) for name in names]
        target.mkdir(parents=True, exist_ok=True)
        copier = _Copier(system)
        for name, inode in found:
            last = next((part for part in reversed(name.split("/")) if part not in {"", ".", ".."}), "")
            copier.copy(inode, target / last if last else target, name)
        # Once for all: a call per file would take most of the time.
        os.sync()
        counts = copier.files, copier.directories, copier.links, copier.bytes
        return Extracted(*counts, tuple(copier.skipped), problems)


class _Copier:
    """Copies inodes into the real file system."""

    def __init__(self, system: Ext4) -> None:
        self.system = system
        self.files = self.directories = self.links = self.bytes = 0
        self.skipped: list[str] = []

    def copy(self, inode: Inode, target: Path, name: str) -> None:
        """Copy one inode; what fails inside a directory is noted and the rest goes on."""
        stack = [(inode, target, name)]
        finished: list[tuple[Inode, Path]] = []
        while stack:
            current, place, shown = stack.pop()
            try:
                if current.is_directory:
                    _make_directory(place)
                    self.directories += 1
                    finished.append((current, place))
                    for entry in self.system.entries(current):
                        text = os.fsdecode(entry.name)
                        stack.append((self.system.inode(entry.inode), place / text, f"{shown.rstrip('/')}/{text}"))
                elif current.is_link:
                    place.symlink_to(os.fsdecode(self.system.target(current)))
                    self.links += 1
                elif current.is_file:
                    self._file(current, place)
                else:
                    self.skipped.append(f"{shown}: neither file, directory nor link")
            except (OSError, ImageError) as error:
                self.skipped.append(f"{shown}: {getattr(error, 'strerror', None) or error}")
        for directory, place in reversed(finished):
            _dress(place, directory)

    def _file(self, inode: Inode, place: Path) -> None:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            for offset, part in self.system.chunks(inode):
                os.pwrite(descriptor, part, offset)
                self.bytes += len(part)
            os.ftruncate(descriptor, inode.size)
        except BaseException:
            # Half a database that looks like a whole one is worse than none.
            place.unlink()
            raise
        finally:
            os.close(descriptor)
        self.files += 1
        _dress(place, inode)


def _make_directory(place: Path) -> None:
    # In a damaged directory a link may have the same name: following it would lead out of the target.
    if place.is_symlink():
        raise ImageError("a link of the same name is there already")
    place.mkdir(exist_ok=True)


def _dress(place: Path, inode: Inode) -> None:
    if os.geteuid() == 0:
        os.chown(place, inode.owner, inode.group)
    place.chmod(stat.S_IMODE(inode.mode))
    os.utime(place, (inode.modified, inode.modified))


def _system(read: Read, size: int, partition: int | None) -> tuple[Ext4, tuple[str, ...]]:
    """Return the file system after its replay, and what speaks against it as a whole."""
    found = partitions(read, size)
    readable = [part for part in found if part.file_system is FileSystem.EXT]
    chosen = [part for part in readable if partition in {None, part.number}]
    if len(chosen) != 1:
        held = ", ".join(f"partition {part.number}: {part.file_system.value}" for part in found)
        hint = "say which with --partition" if chosen else "only ext2, ext3 and ext4 can be read here"
        raise BadInputError("partition", f"{len(chosen)} file systems fit ({held}); {hint}")
    offset = chosen[0].offset
    system, replay = replayed(Ext4(lambda start, length: read(offset + start, length)))
    return system, (*_unreplayed(replay), *_cut_off(system, chosen[0]))


def _unreplayed(replay: Replay) -> Iterator[str]:
    if replay.fast_commits:
        yield "the journal may hold fast commits, which are not replayed here: mount it to be sure"


def _cut_off(system: Ext4, part: Partition) -> Iterator[str]:
    if system.size > part.size:
        yield f"the file system has {system.size} bytes, the image only {part.size}: its end is missing"


def _examine(path: Path, read: Read, part: Partition, *, run_checker: bool) -> FileSystemReport:
    if part.file_system is FileSystem.EXT:
        return _examine_ext(path, read, part, run_checker=run_checker)
    check = _not_run("no checker for this content")
    problems = {
        FileSystem.EMPTY: ("nothing but zeros where a file system would start",),
        FileSystem.UNKNOWN: ("no file system is recognised",),
        FileSystem.LUKS: ("encrypted: open it with cryptsetup and its passphrase first",),
    }.get(part.file_system, ())
    if part.file_system is FileSystem.XFS and run_checker:
        check = _run_checker(["xfs_repair", "-n", str(path)]) if part.offset == 0 else _not_run("inside a partition")
    return FileSystemReport(
        partition=part.number,
        offset=part.offset,
        kind=part.file_system.value,
        uuid="",
        label="",
        size=part.size,
        used=0,
        journal="unknown",
        replayed_transactions=0,
        unmounted_cleanly=False,
        errors_seen=0,
        root=(),
        check=check,
        problems=problems,
    )


def _examine_ext(path: Path, read: Read, part: Partition, *, run_checker: bool) -> FileSystemReport:
    problems: list[str] = []
    root: tuple[str, ...] = ()
    journal, transactions = "none", 0
    system = None
    try:
        system = Ext4(lambda start, length: read(part.offset + start, length))
        if system.superblock.has_journal:
            journal = "needs replay" if system.superblock.needs_replay else "clean"
        try:
            current, replay = replayed(system)
            transactions = replay.transactions
            problems += _unreplayed(replay)
        except ImageError as error:
            journal, current = "damaged", system
            problems.append(str(error))
        root = tuple(sorted(os.fsdecode(entry.name) for entry in current.entries(current.inode(2))))
    except ImageError as error:
        problems.append(str(error))
    problems += _cut_off(system, part) if system is not None else ()
    block = system.superblock if system else None
    where = f"{path}?offset={part.offset}" if part.offset else str(path)
    check = _run_checker(["e2fsck", "-fn", where]) if run_checker else _not_run("not asked for")
    return FileSystemReport(
        partition=part.number,
        offset=part.offset,
        kind=FileSystem.EXT.value,
        uuid=block.uuid if block else "",
        label=block.label if block else "",
        size=block.blocks * block.block_size if block else part.size,
        used=(block.blocks - block.free_blocks) * block.block_size if block else 0,
        journal=journal,
        replayed_transactions=transactions,
        unmounted_cleanly=bool(block and block.unmounted_cleanly),
        errors_seen=block.errors_seen if block else 0,
        root=root,
        check=check,
        problems=tuple(problems),
    )


def _run_checker(command: list[str]) -> Check:
    name = command[0]
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if program is None:
        return _not_run(f"{name} is not installed")
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, "not run", str(error))
    lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    verdict = "clean" if done.returncode == 0 else "damaged"
    return Check(name, verdict, "\n".join(lines[-_TAIL_LINES:]))


def _not_run(reason: str) -> Check:
    return Check("", "not run", reason)


def _listed(system: Ext4, name: bytes, inode: Inode) -> Listed:
    kinds = ((inode.is_file, "file"), (inode.is_directory, "directory"), (inode.is_link, "link"))
    kind = next((text for holds, text in kinds if holds), "other")
    target = ""
    if inode.is_link:
        try:
            target = os.fsdecode(system.target(inode))
        except RecoveryError as error:
            target = f"? ({error})"
    return Listed(os.fsdecode(name), kind, inode.size, inode.modified, target)
