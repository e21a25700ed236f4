"""Reads an ext2, ext3 or ext4 file system without mounting it, without root and without writing a byte.

The reader sees what a mount with ``noload`` would see, or, after :func:`image_journal.replayed`, what a mount that
replays the journal would see. Every pointer is checked, so that a damaged file system gives an :class:`ImageError`.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .image_superblock import (
    COMPAT_SPARSE_SUPER2,
    INCOMPAT_META_BG,
    RO_COMPAT_SPARSE_SUPER,
    ImageError,
    NoSuchPathError,
    Superblock,
    u16,
    u32,
)
from .nearest import instead

__all__ = ["ROOT_INODE", "Entry", "Ext4", "ImageError", "Inode", "Piece", "Read", "Superblock"]

Read = Callable[[int, int], bytes]
"""Reads ``length`` bytes at ``offset``; fewer only at the end of the image."""

ROOT_INODE = 2
_SUPERBLOCK_OFFSET = 1024
_SUPERBLOCK_BYTES = 1024
_EXTENT_MAGIC = 0xF30A
_EXTENT_DEPTH = 5
_UNWRITTEN = 32768
_MAX_SYMLINKS = 40
_MAX_DEPTH = 200
_WIDE_DESCRIPTOR = 64
_XATTR_MAGIC = 0xEA020000
_XATTR_SYSTEM = 7
_LARGEST_BLOCK = 65536
_ENTRY_HEAD = 8
_OLD_INODE = 128

_FLAG_ENCRYPTED = 0x800
_FLAG_EXTENTS = 0x80000
_FLAG_INLINE = 0x10000000
_INLINE_IN_INODE = 60


class Piece(NamedTuple):
    """A run of a file: its place in the file, its place in the image (``None``: reads as zeros), its length; bytes."""

    offset: int
    place: int | None
    length: int


class Entry(NamedTuple):
    """A name in a directory."""

    name: bytes
    inode: int


@dataclass(frozen=True)
class Inode:
    """A file, a directory or a link."""

    number: int
    mode: int
    size: int
    """Bytes."""
    owner: int
    group: int
    modified: int
    """Seconds since 1970."""
    links: int
    flags: int
    raw: bytes

    @property
    def is_directory(self) -> bool:
        """Whether it holds names."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it holds bytes."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it names another path."""
        return stat.S_ISLNK(self.mode)

    @property
    def encrypted(self) -> bool:
        """Whether names and bytes are encrypted by the file system itself."""
        return bool(self.flags & _FLAG_ENCRYPTED)

    @property
    def body(self) -> bytes:
        """The 60 bytes that say where the data is, or are the data."""
        return self.raw[40:100]


class Ext4:
    """One file system. ``read`` is relative to its first byte."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.superblock = Superblock.parse(read(_SUPERBLOCK_OFFSET, _SUPERBLOCK_BYTES))

    @property
    def size(self) -> int:
        """Length of the file system in bytes."""
        return self.superblock.blocks * self.superblock.block_size

    def inode(self, number: int) -> Inode:
        """Read an inode. Raises ImageError for a number that does not exist."""
        block = self.superblock
        if not 1 <= number <= block.inodes:
            raise ImageError(f"inode {number} does not exist: there are {block.inodes}")
        group, index = divmod(number - 1, block.inodes_per_group)
        descriptor = self._descriptor(group)
        table = u32(descriptor, 8) | (u32(descriptor, 40) << 32 if len(descriptor) >= _WIDE_DESCRIPTOR else 0)
        raw = self.read(self._place(table) + index * block.inode_size, block.inode_size)
        if len(raw) < block.inode_size:
            raise ImageError(f"inode {number} lies behind the end of the image")
        return Inode(
            number=number,
            mode=u16(raw, 0),
            size=u32(raw, 4) | u32(raw, 108) << 32,
            owner=u16(raw, 2) | u16(raw, 120) << 16,
            group=u16(raw, 24) | u16(raw, 122) << 16,
            modified=u32(raw, 16),
            links=u16(raw, 26),
            flags=u32(raw, 32),
            raw=raw,
        )

    def pieces(self, inode: Inode) -> Iterator[Piece]:
        """Give the parts of a file that have a place in the image, in their order, up to its size."""
        size = inode.size
        for offset, place, length in self._mapped(inode):
            if offset < size:
                yield Piece(offset, place, min(length, size - offset))

    def mapped(self, inode: Inode) -> Iterator[Piece]:
        """Give every part that belongs to an inode, also behind its size, and the blocks that only point."""
        yield from self._mapped(inode, pointers=True)

    def chunks(self, inode: Inode, limit: int = 1 << 20) -> Iterator[tuple[int, bytes]]:
        """Read a file's bytes in pieces of at most ``limit``; what is missing between them reads as zeros."""
        if inode.encrypted:
            raise ImageError(f"inode {inode.number} is encrypted by the file system: its key is not here")
        if inode.flags & _FLAG_INLINE:
            yield 0, self._inline(inode)[: inode.size]
            return
        for offset, place, length in self.pieces(inode):
            if place is None:
                continue
            done = 0
            while done < length:
                part = self.read(place + done, min(limit, length - done))
                if not part:
                    raise ImageError(f"inode {inode.number}: byte {offset + done} lies behind the end of the image")
                yield offset + done, part
                done += len(part)

    def content(self, inode: Inode, limit: int = 1 << 26) -> bytes:
        """Read a small file whole. Raises ImageError above ``limit`` bytes."""
        if inode.size > limit:
            raise ImageError(f"inode {inode.number} has {inode.size} bytes, more than {limit}")
        whole = bytearray(inode.size)
        for offset, part in self.chunks(inode):
            whole[offset : offset + len(part)] = part
        return bytes(whole)

    def entries(self, inode: Inode) -> Iterator[Entry]:
        """Give the names in a directory, without ``.`` and ``..``."""
        if not inode.is_directory:
            raise ImageError(f"inode {inode.number} is not a directory")
        for area in self._areas(inode):
            yield from _names(area, inode.number)

    def target(self, inode: Inode) -> bytes:
        """Read where a symbolic link points."""
        if inode.size < _INLINE_IN_INODE and not inode.flags & (_FLAG_EXTENTS | _FLAG_INLINE):
            return inode.body[: inode.size]
        return self.content(inode, 65536)

    def find(self, path: str | bytes) -> Inode:
        """Find a path from the root, through links inside the image.

        Raises NoSuchPathError naming the missing part and what is there instead, and ImageError.
        """
        wanted = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
        todo = [part for part in wanted.split(b"/") if part not in {b"", b"."}]
        trail = [self.inode(ROOT_INODE)]
        links = 0
        while todo:
            part = todo.pop(0)
            if part == b"..":
                trail = trail[:-1] or trail
                continue
            if not trail[-1].is_directory:
                raise NoSuchPathError(f"{_show(wanted)}: what stands before {_show(part)} is not a directory")
            found = next((entry for entry in self.entries(trail[-1]) if entry.name == part), None)
            if found is None:
                known = [_show(entry.name) for entry in self.entries(trail[-1])]
                raise NoSuchPathError(f"{_show(wanted)}: there is no {_show(part)}; {instead(_show(part), known)}")
            inode = self.inode(found.inode)
            if inode.is_link:
                links += 1
                if links > _MAX_SYMLINKS:
                    raise ImageError(f"{_show(wanted)}: the symbolic links go round in a circle")
                target = self.target(inode)
                trail = trail[:1] if target.startswith(b"/") else trail
                todo = [step for step in target.split(b"/") if step not in {b"", b"."}] + todo
            else:
                trail.append(inode)
        return trail[-1]

    def walk(self, start: Inode | None = None, path: bytes = b"") -> Iterator[tuple[bytes, Inode]]:
        """Give every path below a directory with its inode, each directory once, damaged parts left out by raising."""
        seen: set[int] = set()
        stack = [(path, start or self.inode(ROOT_INODE))]
        while stack:
            where, directory = stack.pop()
            if directory.number in seen or where.count(b"/") > _MAX_DEPTH:
                continue
            seen.add(directory.number)
            below = []
            for entry in sorted(self.entries(directory)):
                inode = self.inode(entry.inode)
                full = where + b"/" + entry.name
                yield full, inode
                if inode.is_directory:
                    below.append((full, inode))
            stack.extend(reversed(below))

    def group_metadata(self) -> Iterator[tuple[str, int, int]]:
        """Give the places of the file system's own structures: kind, first byte, length."""
        block = self.superblock
        size = block.block_size
        per_block = size // block.descriptor_size
        yield "superblock", 0, size * (block.first_data_block + 1)
        yield "group descriptors", (block.first_data_block + 1) * size, -(-block.groups // per_block) * size
        table_bytes = -(-block.inodes_per_group * block.inode_size // size) * size
        for group in range(block.groups):
            raw = self._descriptor(group)
            wide = len(raw) >= _WIDE_DESCRIPTOR
            for kind, low, high, length in (
                ("block bitmap", 0, 32, size),
                ("inode bitmap", 4, 36, size),
                ("inode table", 8, 40, table_bytes),
            ):
                yield kind, self._place(u32(raw, low) | (u32(raw, high) << 32 if wide else 0)), length

    def _areas(self, inode: Inode) -> Iterator[bytes]:
        if inode.flags & _FLAG_INLINE:
            whole = self._inline(inode)
            yield whole[4:_INLINE_IN_INODE]
            if len(whole) > _INLINE_IN_INODE:
                yield whole[_INLINE_IN_INODE:]
            return
        size = self.superblock.block_size
        for _offset, place, length in self.pieces(inode):
            for start in range(0, length if place is not None else 0, size):
                yield self.read((place or 0) + start, size)

    def _inline(self, inode: Inode) -> bytes:
        if inode.size <= _INLINE_IN_INODE:
            return inode.body
        raw = inode.raw
        start = _OLD_INODE + u16(raw, _OLD_INODE)
        if len(raw) < start + 8 or u32(raw, start) != _XATTR_MAGIC:
            raise ImageError(f"inode {inode.number} holds data inline, but its second part is missing")
        first = cursor = start + 4
        while cursor + 16 <= len(raw) and raw[cursor]:
            length, index = raw[cursor], raw[cursor + 1]
            if index == _XATTR_SYSTEM and raw[cursor + 16 : cursor + 16 + length] == b"data":
                value = first + u16(raw, cursor + 2)
                return inode.body + raw[value : value + u32(raw, cursor + 8)]
            cursor += 16 + (length + 3) // 4 * 4
        raise ImageError(f"inode {inode.number} holds data inline, but its second part is missing")

    def _mapped(self, inode: Inode, *, pointers: bool = False) -> Iterator[Piece]:
        if inode.flags & _FLAG_INLINE or (inode.is_link and inode.size < _INLINE_IN_INODE and not _extents(inode)):
            return
        if _extents(inode):
            yield from self._extent_node(inode.body, inode.number, _EXTENT_DEPTH, pointers=pointers)
        elif inode.is_file or inode.is_directory or inode.is_link:
            yield from self._indirect(inode, pointers=pointers)

    def _extent_node(self, node: bytes, number: int, limit: int, *, pointers: bool) -> Iterator[Piece]:
        magic, count, _room, depth = struct.unpack_from("<HHHH", node)
        if magic != _EXTENT_MAGIC or depth > limit or 12 + count * 12 > len(node):
            raise ImageError(f"inode {number}: its extent tree is damaged")
        size = self.superblock.block_size
        for index in range(count):
            at = 12 + index * 12
            if depth == 0:
                logical, length, high, low = struct.unpack_from("<IHHI", node, at)
                unwritten = length > _UNWRITTEN
                length = length - _UNWRITTEN if unwritten else length
                place = self._place(low | high << 32, length)
                yield Piece(logical * size, None if unwritten and not pointers else place, length * size)
            else:
                _logical, low, high = struct.unpack_from("<IIH", node, at)
                place = self._place(low | high << 32)
                if pointers:
                    yield Piece(0, place, size)
                yield from self._extent_node(self.read(place, size), number, depth - 1, pointers=pointers)

    def _indirect(self, inode: Inode, *, pointers: bool) -> Iterator[Piece]:
        size = self.superblock.block_size
        per_block = size // 4
        last = -(-inode.size // size)
        for index in range(12):
            if pointer := u32(inode.body, index * 4):
                yield Piece(index * size, self._place(pointer), size)
        logical = 12
        for level in (1, 2, 3):
            pointer = u32(inode.body, (11 + level) * 4)
            if pointer and logical < last:
                yield from self._indirect_node(pointer, level, logical, last, pointers=pointers)
            logical += per_block**level

    def _indirect_node(self, block: int, level: int, logical: int, last: int, *, pointers: bool) -> Iterator[Piece]:
        size = self.superblock.block_size
        place = self._place(block)
        if pointers:
            yield Piece(0, place, size)
        span = (size // 4) ** (level - 1)
        table = self.read(place, size)
        for index in range(size // 4):
            start = logical + index * span
            pointer = u32(table, index * 4)
            if start >= last:
                return
            if pointer and level == 1:
                yield Piece(start * size, self._place(pointer), size)
            elif pointer:
                yield from self._indirect_node(pointer, level - 1, start, last, pointers=pointers)

    def _descriptor(self, group: int) -> bytes:
        block = self.superblock
        per_block = block.block_size // block.descriptor_size
        meta, index = divmod(group, per_block)
        if block.incompat & INCOMPAT_META_BG and meta >= block.first_meta_group:
            first = meta * per_block
            number = block.first_data_block + first * block.blocks_per_group + self._has_superblock(first)
        else:
            number = block.first_data_block + 1 + meta
        raw = self.read(self._place(number) + index * block.descriptor_size, block.descriptor_size)
        if len(raw) < block.descriptor_size:
            raise ImageError(f"the descriptor of group {group} lies behind the end of the image")
        return raw

    def _has_superblock(self, group: int) -> bool:
        block = self.superblock
        if block.compat & COMPAT_SPARSE_SUPER2:
            return group == 0 or group in block.backup_groups
        if not block.ro_compat & RO_COMPAT_SPARSE_SUPER or group <= 1:
            return True
        return any(_power(group, base) for base in (3, 5, 7))

    def _place(self, block: int, length: int = 1) -> int:
        """Turn a block's number into its byte, if that is inside the file system."""
        if not 0 <= block <= self.superblock.blocks - length:
            raise ImageError(f"block {block} lies outside the file system of {self.superblock.blocks} blocks")
        return block * self.superblock.block_size


def _extents(inode: Inode) -> bool:
    return bool(inode.flags & _FLAG_EXTENTS)


def _names(area: bytes, number: int) -> Iterator[Entry]:
    at = 0
    while at + 8 <= len(area):
        inode, length, name_length = struct.unpack_from("<IHB", area, at)
        if length in {0, 65535} and len(area) >= _LARGEST_BLOCK:
            length = 65536 - at
        if length < _ENTRY_HEAD or length % 4 or at + length > len(area) or name_length + 8 > length:
            raise ImageError(f"directory inode {number}: a damaged entry at byte {at} of a block")
        name = area[at + 8 : at + 8 + name_length]
        if inode and name_length and name not in {b".", b".."}:
            if b"/" in name or b"\0" in name:
                raise ImageError(f"directory inode {number}: a name with a slash or a zero byte")
            yield Entry(name, inode)
        at += length


def _power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def _show(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
