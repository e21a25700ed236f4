"""Names the files that differing ranges of a volume belong to: block -> inode -> path."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from .image_detect import FileSystem, partitions
from .image_ext4 import Ext4, Inode, Read
from .image_journal import replayed
from .image_superblock import ImageError

__all__ = ["Affected", "affected_files"]

_JOURNAL = "journal"
_FREE = "free space"


@dataclass(frozen=True)
class Affected:
    """What lies in some ranges of a volume."""

    files: tuple[str, ...]
    """Paths, sorted; a directory ends with a slash, and of a file with several names all are given."""
    structures: tuple[str, ...]
    """The file system's own: superblock, bitmaps, inode tables, journal, free space."""
    note: str = ""
    """Why nothing can be said, if so."""


def affected_files(read: Read, size: int, ranges: Sequence[tuple[int, int]]) -> Affected:
    """Say which files the ranges ``(offset, length)`` belong to, where the content is ext2, ext3 or ext4.

    ``read`` gives the bytes of the merged volume of ``size`` bytes; nothing needs to be written first. Never raises for
    content: what cannot be read is a note.
    """
    wanted = _merged(ranges)
    files: set[str] = set()
    structures: set[str] = set()
    notes: list[str] = []
    covered = 0
    for part in partitions(read, size):
        if part.file_system is not FileSystem.EXT:
            notes.append(f"{part.file_system.value} at byte {part.offset}: only ext2, ext3 and ext4 can be read")
            continue
        inside = _cut(wanted, part.offset, part.size)
        covered += len(inside)
        try:
            _look(_shifted(read, part.offset), inside, files, structures)
        except ImageError as error:
            notes.append(f"the file system at byte {part.offset} cannot be read to its end: {error}")
    if not covered and not notes:
        notes.append("the ranges lie outside all partitions")
    return Affected(tuple(sorted(files)), tuple(sorted(structures)), "; ".join(notes))


def _look(read: Read, wanted: list[tuple[int, int]], files: set[str], structures: set[str]) -> None:
    raw = Ext4(read)
    found = 0
    for kind, start, length in raw.group_metadata():
        overlap = _overlap(wanted, start, length)
        if overlap:
            structures.add(kind)
            found += overlap
    if raw.superblock.has_journal:
        overlap = _of(raw, raw.inode(raw.superblock.journal_inode), wanted)
        if overlap:
            structures.add(_JOURNAL)
            found += overlap
    try:
        system, _replay = replayed(raw)
    except ImageError:
        system = raw
    seen: dict[int, int] = {}
    root = system.inode(2)
    for path, inode in [(b"", root), *system.walk()]:
        if inode.number not in seen:
            seen[inode.number] = _of(system, inode, wanted)
            found += seen[inode.number]
        if seen[inode.number]:
            files.add(path.decode("utf-8", "backslashreplace") + ("/" if inode.is_directory else ""))
    if found < sum(end - start for start, end in wanted):
        structures.add(_FREE)


def _of(system: Ext4, inode: Inode, wanted: list[tuple[int, int]]) -> int:
    return sum(_overlap(wanted, place, length) for _offset, place, length in system.mapped(inode) if place is not None)


def _overlap(wanted: list[tuple[int, int]], start: int, length: int) -> int:
    """Count the bytes of ``wanted`` (sorted, disjoint) inside a range."""
    end, total = start + length, 0
    index = max(bisect_right(wanted, (start, 1 << 62)) - 1, 0)
    while index < len(wanted) and wanted[index][0] < end:
        total += max(min(end, wanted[index][1]) - max(start, wanted[index][0]), 0)
        index += 1
    return total


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for start, length in sorted(ranges):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], start + length))
        elif length > 0:
            result.append((start, start + length))
    return result


def _cut(ranges: list[tuple[int, int]], offset: int, size: int) -> list[tuple[int, int]]:
    cut = ((max(start - offset, 0), min(end - offset, size)) for start, end in ranges)
    return [(start, end) for start, end in cut if start < end]


def _shifted(read: Read, offset: int) -> Read:
    return lambda start, length: read(offset + start, length)
