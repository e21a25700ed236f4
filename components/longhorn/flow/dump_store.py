"""Where dumps are kept: written whole, verified before older ones go, never on what they protect (BKP-012 ..)."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from .dump import Check, Dump, DumpError, digest, parse, verify
from .volumes import moment

__all__ = ["DumpFolder", "Kept", "Selection", "select"]

_NAME: Final = re.compile(r"backup_(\d{8})(?:T(\d{6})Z)?\.volumes")
_SUM: Final = ".sha256"
_PATIENCE: Final = 5.0
"""Seconds in which a folder must answer: a share on a Longhorn that is down never does (BKP-061, FM-31)."""
_INDEX: Final = ".json"


@dataclass(frozen=True)
class Kept:
    """A dump in a folder."""

    path: Path
    date: str
    modified: float


@dataclass(frozen=True)
class Selection:
    """The dump that was chosen, and why not the others (BKP-040)."""

    path: Path
    dump: Dump
    check: Check
    rejected: tuple[str, ...]


@dataclass(frozen=True)
class DumpFolder:
    """A folder with dumps. ``keep`` good ones stay, however old they are (BKP-015)."""

    path: Path
    keep: int = 14

    def write(self, dump: Dump, now: float) -> Path:
        """Write a dump, verify what was written, then rotate. Raises DumpError, and the older dumps stay (BKP-013)."""
        self._refuse_longhorn(self.path)
        if not answers(self.path):
            message = f"{self.path} does not answer within {_PATIENCE:g} s (FM-31)"
            raise DumpError(message)
        # A link is followed only where it answers.
        self._refuse_longhorn(self.path.resolve())
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        previous = self._newest_good()
        text = dump.text()
        check = verify(parse(text), now, previous=previous)
        if not check.good:
            message = f"the dump is rejected, older ones are kept: {'; '.join(check.problems)}"
            raise DumpError(message)
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        target = self.path / f"backup_{stamp}.volumes"
        index = {"taken": dump.taken, "counts": dump.counts, "sha256": digest(text)}
        self._put(target.with_name(target.name + _SUM), f"{digest(text)}  {target.name}\n")
        self._put(target.with_name(target.name + _INDEX), json.dumps(index, indent=1) + "\n")
        self._put(target, text)
        read(target)
        self._rotate(now, fresh=target)
        return target

    def listed(self) -> list[Kept]:
        """List the dumps, newest first, by the date in the name and then by the time of writing."""
        if not self.path.is_dir():
            return []
        found = []
        for path in self.path.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append(Kept(path, match[1] + (match[2] or ""), path.stat().st_mtime))
        return sorted(found, key=lambda item: (item.date.ljust(14, "0"), item.modified), reverse=True)

    def _refuse_longhorn(self, place: Path) -> None:
        on_longhorn = protected_storage(place, Path("/proc/self/mountinfo").read_text("utf-8"))
        if on_longhorn:
            message = f"{self.path} lies on {on_longhorn}: it would disappear with what it protects (BKP-014)"
            raise DumpError(message)

    def _newest_good(self) -> Dump | None:
        for item in self.listed():
            try:
                dump = read(item.path)
            except DumpError:
                continue
            if verify(dump, item.modified).good:
                return dump
        return None

    def _rotate(self, now: float, *, fresh: Path) -> None:
        """Remove older good dumps than the newest; never ``fresh``, which dates from the future may make the oldest."""
        good = 0
        for item in self.listed():
            try:
                good += verify(read(item.path), now).good
            except DumpError:
                continue  # a bad one is left for a person to look at; it is no copy of anything
            if good > self.keep and item.path != fresh:
                for suffix in ("", _SUM, _INDEX):
                    item.path.with_name(item.path.name + suffix).unlink(missing_ok=True)

    @staticmethod
    def _put(path: Path, text: str) -> None:
        partial = path.with_name(path.name + ".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: Path) -> Dump:
    """Read one dump and compare it with its sum, if it has one. Raises DumpError."""
    side = path.with_name(path.name + _SUM)
    try:
        text = path.read_bytes().decode("utf-8")
        written = side.read_text("utf-8").split()[:1] if side.exists() else [digest(text)]
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise DumpError(message) from error
    if written != [digest(text)]:
        message = f"{path}: its content is not what was written (SHA-256)"
        raise DumpError(message)
    try:
        return parse(text)
    except DumpError as error:
        message = f"{path}: {error}"
        raise DumpError(message) from error


def select(folders: Sequence[Path], now: float, *, date: str = "", before: str = "") -> Selection:
    """Choose the newest good dump over all folders, so that a stale folder shadows nothing (BKP-040, DEF-25).

    ``date`` (``YYYYMMDD``) asks for one of that day, ``before`` (RFC 3339) for one from before an incident.
    Raises DumpError with every file that was refused.
    """
    limit = _limit(before)
    silent = [folder for folder in folders if not answers(folder)]
    everything = [item for folder in folders if folder not in silent for item in DumpFolder(folder).listed()]
    everything.sort(key=lambda item: (item.date.ljust(14, "0"), item.modified), reverse=True)
    rejected = [f"{folder}: does not answer within {_PATIENCE:g} s (FM-31)" for folder in silent]
    for item in everything:
        if date and not item.date.startswith(date):
            continue
        if limit and item.date.ljust(14, "9") > limit:
            rejected.append(f"{item.path}: from after {before}")
            continue
        try:
            dump = read(item.path)
        except DumpError as error:
            rejected.append(str(error))
            continue
        check = verify(dump, now)
        if check.good:
            return Selection(item.path, dump, check, tuple(rejected))
        rejected.append(f"{item.path}: {'; '.join(check.problems)}")
    places = ", ".join(str(folder) for folder in folders)
    wanted = f" of {date}" if date else ""
    message = f"no good dump{wanted} in {places}" + (f"; refused: {'; '.join(rejected)}" if rejected else "")
    raise DumpError(message)


def _limit(before: str) -> str:
    try:
        return datetime.fromisoformat(moment(before)).astimezone(UTC).strftime("%Y%m%d%H%M%S") if before else ""
    except ValueError as error:
        message = f"before: {error}"
        raise DumpError(message) from error


def answers(path: Path) -> bool:
    """Whether a folder, or its absence, can be seen in time."""
    seen = threading.Event()

    def look() -> None:
        with suppress(OSError):
            path.stat()
        seen.set()

    # A thread that waits for a dead share cannot be ended; it ends with the program.
    threading.Thread(target=look, name=f"look at {path}", daemon=True).start()
    return seen.wait(_PATIENCE)


def protected_storage(path: Path, mounts: str) -> str:
    """Return what of Longhorn holds ``path``, by the lines of a mountinfo; empty when nothing does."""
    place = path.absolute()
    best: tuple[int, str] = (-1, "")
    for line in mounts.splitlines():
        fields = line.split()
        point, kind, source = Path(_unescaped(fields[4])), *fields[fields.index("-") + 1 : fields.index("-") + 3]
        if (place == point or point in place.parents) and len(point.parts) >= best[0]:
            ours = source.startswith("/dev/longhorn/") or (kind.startswith("nfs") and "pvc-" in source)
            best = (len(point.parts), source if ours else "")
    return best[1]


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def as_dict(check: Check) -> dict[str, Any]:
    """Return the JSON form of a check."""
    return {**vars(check), "counts": dict(check.counts), "good": check.good}
