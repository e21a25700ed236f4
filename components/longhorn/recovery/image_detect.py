"""Says what an image holds: partitions, and the file system in each, by their signatures (LHR-058)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .image_ext4 import Read

__all__ = ["FileSystem", "Partition", "identify", "partitions"]

_SECTOR = 512
_PROBE = 69632
_SIGNATURE = b"\x55\xaa"
_GPT = b"EFI PART"
_EXTENDED = frozenset({0x05, 0x0F, 0x85})
_PROTECTIVE = 0xEE
_MAX_ENTRIES = 1024


class FileSystem(str, Enum):
    """What a signature stands for."""

    EXT = "ext"
    XFS = "xfs"
    LUKS = "luks"
    BTRFS = "btrfs"
    LVM = "lvm"
    SWAP = "swap"
    FAT = "fat"
    EMPTY = "empty"
    UNKNOWN = "unknown"


# Where each signature stands; the first that fits is what a mount would find.
_SIGNATURES: tuple[tuple[FileSystem, int, bytes], ...] = (
    (FileSystem.LUKS, 0, b"LUKS\xba\xbe"),
    (FileSystem.XFS, 0, b"XFSB"),
    (FileSystem.EXT, 1080, b"\x53\xef"),
    (FileSystem.BTRFS, 65600, b"_BHRfS_M"),
    (FileSystem.LVM, 512, b"LABELONE"),
    (FileSystem.SWAP, 4086, b"SWAPSPACE2"),
    (FileSystem.FAT, 54, b"FAT1"),
    (FileSystem.FAT, 82, b"FAT32"),
)


@dataclass(frozen=True)
class Partition:
    """A part of an image; number 0 is the whole of one without a partition table."""

    number: int
    offset: int
    """Bytes from the start of the image."""
    size: int
    """Bytes."""
    file_system: FileSystem


def identify(read: Read, offset: int = 0) -> FileSystem:
    """Say which file system starts at ``offset``; EMPTY when its first 68 KiB are zeros."""
    head = read(offset, _PROBE)
    for kind, place, signature in _SIGNATURES:
        if head[place : place + len(signature)] == signature:
            return kind
    return FileSystem.UNKNOWN if head.strip(b"\0") else FileSystem.EMPTY


def partitions(read: Read, size: int) -> list[Partition]:
    """List what an image of ``size`` bytes holds; a file system without a partition table is one with number 0.

    A file system's signature goes before a partition table, because the first sector of either may hold leftovers.
    """
    whole = identify(read)
    if whole not in {FileSystem.EMPTY, FileSystem.UNKNOWN}:
        return [Partition(0, 0, size, whole)]
    found = [
        Partition(number, start, min(length, size - start), identify(read, start))
        for number, (start, length) in enumerate(_table(read), 1)
        if 0 < start < size and length > 0
    ]
    return found or [Partition(0, 0, size, whole)]


def _table(read: Read) -> Iterator[tuple[int, int]]:
    head = read(0, 2 * _SECTOR)
    if head[510:512] != _SIGNATURE:
        return
    if head[_SECTOR : _SECTOR + 8] == _GPT:
        yield from _gpt(read, head[_SECTOR:])
        return
    for at in range(446, 510, 16):
        kind, start, length = head[at + 4], *struct.unpack_from("<II", head, at + 8)
        if kind and kind not in _EXTENDED and kind != _PROTECTIVE:
            yield start * _SECTOR, length * _SECTOR


def _gpt(read: Read, header: bytes) -> Iterator[tuple[int, int]]:
    start, count, width = struct.unpack_from("<QII", header, 72)
    if not 128 <= width <= 4096 or count > _MAX_ENTRIES:  # noqa: PLR2004 - limits of the format
        return
    table = read(start * _SECTOR, count * width)
    for at in range(0, len(table) - width + 1, width):
        if table[at : at + 16].strip(b"\0"):
            first, last = struct.unpack_from("<QQ", table, at + 32)
            yield first * _SECTOR, (last - first + 1) * _SECTOR
