"""Replays an ext4 journal in memory: the file system as it is after a mount, while no byte of the image changes.

A power cut leaves the newest changes of the metadata in the journal alone. A reader that ignores it shows directories
that lack files which were safely written (LHR-059); here they are laid over the image, block by block.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .image_ext4 import Ext4, Read
from .image_superblock import ImageError

__all__ = ["Replay", "overlay", "replayed"]

_MAGIC = 0xC03B3998
_DESCRIPTOR, _COMMIT, _SUPERBLOCK_V1, _SUPERBLOCK_V2, _REVOKE = 1, 2, 3, 4, 5
_INCOMPAT_64BIT, _INCOMPAT_CHECKSUM_2, _INCOMPAT_CHECKSUM_3, _INCOMPAT_FAST_COMMIT = 0x2, 0x8, 0x10, 0x20
_TAG_ESCAPED, _TAG_SAME_UUID, _TAG_LAST = 0x1, 0x2, 0x8
_HEAD = 12
_TAG_3, _TAG = 16, 8


@dataclass(frozen=True)
class Replay:
    """What a journal adds to the image."""

    blocks: Mapping[int, bytes]
    """New contents by block number."""
    transactions: int
    """Complete transactions found."""
    fast_commits: bool
    """Whether the journal may hold fast commits, which are not replayed here."""


def replayed(system: Ext4) -> tuple[Ext4, Replay]:
    """Return the file system with its journal replayed in memory, and what that changed.

    Raises ImageError when the journal is needed but cannot be read.
    """
    if not system.superblock.needs_replay:
        return system, Replay({}, 0, fast_commits=False)
    replay = _Journal(system).replay()
    return Ext4(overlay(system.read, replay.blocks, system.superblock.block_size)), replay


def overlay(read: Read, blocks: Mapping[int, bytes], size: int) -> Read:
    """Lay ``blocks`` of ``size`` bytes over what ``read`` gives."""

    def combined(offset: int, length: int) -> bytes:
        below = read(offset, length)
        first, last = offset // size, (offset + len(below) - 1) // size if below else -1
        touched = [number for number in range(first, last + 1) if number in blocks] if blocks else []
        if not touched:
            return below
        result = bytearray(below)
        for number in touched:
            start, block = number * size - offset, blocks[number]
            skip = max(-start, 0)
            end = min(start + size, len(result))
            result[start + skip : end] = block[skip : skip + end - start - skip]
        return bytes(result)

    return combined


class _Journal:
    def __init__(self, system: Ext4) -> None:
        self.size = system.superblock.block_size
        inode = system.inode(system.superblock.journal_inode)
        self.places: dict[int, int] = {}
        for offset, place, length in system.pieces(inode):
            if place is not None:
                for at in range(0, length, self.size):
                    self.places[(offset + at) // self.size] = place + at
        self.read = system.read
        head = self._block(0)
        magic, kind = struct.unpack_from(">II", head)
        if magic != _MAGIC or kind not in {_SUPERBLOCK_V1, _SUPERBLOCK_V2}:
            raise ImageError("the journal's superblock is damaged: the newest changes cannot be read")
        block_size, self.length, self.first, self.sequence, self.start = struct.unpack_from(">IIIII", head, _HEAD)
        self.incompat = struct.unpack_from(">I", head, 40)[0] if kind == _SUPERBLOCK_V2 else 0
        if block_size != self.size or not 0 < self.first < self.length:
            raise ImageError("the journal's superblock is damaged: the newest changes cannot be read")
        checksums = bool(self.incompat & (_INCOMPAT_CHECKSUM_2 | _INCOMPAT_CHECKSUM_3))
        self.usable = self.size - 4 if checksums else self.size
        if self.incompat & _INCOMPAT_CHECKSUM_3:
            self.tag = _TAG_3
        else:
            self.tag = _TAG + (2 if checksums else 0) + (4 if self.incompat & _INCOMPAT_64BIT else 0)

    def replay(self) -> Replay:
        if self.start == 0:
            return Replay({}, 0, fast_commits=False)
        found = list(self._transactions())
        # A revoked block was freed and used again for a file's data: what an earlier transaction wrote must not return.
        revoked: dict[int, int] = {}
        for sequence, _writes, gone in found:
            for block in gone:
                revoked[block] = sequence
        blocks = {
            block: data
            for sequence, writes, _gone in found
            for block, data in writes
            if revoked.get(block, -1) < sequence
        }
        return Replay(blocks, len(found), fast_commits=bool(self.incompat & _INCOMPAT_FAST_COMMIT))

    def _transactions(self) -> Iterator[tuple[int, list[tuple[int, bytes]], list[int]]]:
        """Give each complete transaction: its number, the blocks it writes, the blocks it revokes."""
        cursor, sequence, budget = self.start, self.sequence, self.length
        writes: list[tuple[int, bytes]] = []
        gone: list[int] = []
        while budget > 0:
            block = self._block(cursor)
            magic, kind, number = struct.unpack_from(">III", block)
            if magic != _MAGIC or number != sequence:
                return
            cursor, budget = self._next(cursor), budget - 1
            if kind == _DESCRIPTOR:
                for target, escaped in self._tags(block):
                    data = self._block(cursor)
                    writes.append((target, _MAGIC.to_bytes(4, "big") + data[4:] if escaped else data))
                    cursor, budget = self._next(cursor), budget - 1
            elif kind == _REVOKE:
                gone += self._revocations(block)
            elif kind == _COMMIT:
                yield sequence, writes, gone
                writes, gone, sequence = [], [], sequence + 1
            else:
                return

    def _tags(self, block: bytes) -> Iterator[tuple[int, bool]]:
        at = _HEAD
        while at + self.tag <= self.usable:
            number = struct.unpack_from(">I", block, at)[0]
            if self.incompat & _INCOMPAT_CHECKSUM_3:
                flags, high = struct.unpack_from(">II", block, at + 4)
            else:
                flags = struct.unpack_from(">H", block, at + 6)[0]
                high = struct.unpack_from(">I", block, at + 8)[0] if self.incompat & _INCOMPAT_64BIT else 0
            wide = bool(self.incompat & _INCOMPAT_64BIT)
            yield number | (high << 32 if wide else 0), bool(flags & _TAG_ESCAPED)
            at += self.tag + (0 if flags & _TAG_SAME_UUID else 16)
            if flags & _TAG_LAST:
                return

    def _revocations(self, block: bytes) -> list[int]:
        count = min(struct.unpack_from(">I", block, _HEAD)[0], self.usable)
        width = 8 if self.incompat & _INCOMPAT_64BIT else 4
        return [int.from_bytes(block[at : at + width], "big") for at in range(_HEAD + 4, count, width)]

    def _next(self, cursor: int) -> int:
        return cursor + 1 if cursor + 1 < self.length else self.first

    def _block(self, number: int) -> bytes:
        place = self.places.get(number)
        data = self.read(place, self.size) if place is not None else b""
        if len(data) < self.size:
            raise ImageError(f"block {number} of the journal is missing: the newest changes cannot be read")
        return data
