"""The superblock of an ext2, ext3 or ext4 file system: read, and refused when it cannot be true."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import DamagedError, Status

__all__ = [
    "COMPAT_SPARSE_SUPER2",
    "INCOMPAT_META_BG",
    "RO_COMPAT_SPARSE_SUPER",
    "SUPERBLOCK_BYTES",
    "ImageError",
    "NoSuchPathError",
    "Superblock",
    "u16",
    "u32",
]

MAGIC = 0xEF53
SUPERBLOCK_BYTES = 1024
COMPAT_JOURNAL = 0x4
COMPAT_SPARSE_SUPER2 = 0x200
INCOMPAT_RECOVER = 0x4
INCOMPAT_META_BG = 0x10
INCOMPAT_64BIT = 0x80
RO_COMPAT_SPARSE_SUPER = 0x1
# Compressed blocks, a journal device, and data in directory entries: nothing of a volume's life makes these.
_UNKNOWN = ~(0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x30000)
_BLOCK_SIZES = tuple(1024 << shift for shift in range(7))
_SMALLEST_INODE = 128


class ImageError(DamagedError):
    """The image cannot be read as what it seems to be; the message says where and why."""

    def __init__(self, message: str) -> None:
        super().__init__("image", message)


class NoSuchPathError(ImageError):
    """A path that somebody typed is not in the image; the image is sound."""

    status = Status.BAD_INPUT


@dataclass(frozen=True)
class Superblock:
    """What the file system says of itself."""

    blocks: int
    block_size: int
    """Bytes."""
    free_blocks: int
    inodes: int
    free_inodes: int
    first_data_block: int
    blocks_per_group: int
    inodes_per_group: int
    inode_size: int
    compat: int
    incompat: int
    ro_compat: int
    uuid: str
    label: str
    last_mounted: str
    journal_inode: int
    descriptor_size: int
    first_meta_group: int
    backup_groups: tuple[int, int]
    unmounted_cleanly: bool
    errors_seen: int
    """Errors which the kernel counted since the last check."""
    written_at: int
    """Seconds since 1970."""

    @property
    def has_journal(self) -> bool:
        """Whether there is a journal inside."""
        return bool(self.compat & COMPAT_JOURNAL)

    @property
    def needs_replay(self) -> bool:
        """Whether the journal holds what was not yet written in place: the power went while it was mounted."""
        return bool(self.incompat & INCOMPAT_RECOVER)

    @property
    def groups(self) -> int:
        """The number of block groups."""
        return -(-(self.blocks - self.first_data_block) // self.blocks_per_group)

    @classmethod
    def parse(cls, raw: bytes) -> Superblock:
        """Read a superblock's 1024 bytes. Raises ImageError when they are not one, or one that cannot be true."""
        if len(raw) < SUPERBLOCK_BYTES or u16(raw, 56) != MAGIC:
            raise ImageError("no ext superblock at byte 1024")
        incompat = u32(raw, 96)
        wide = bool(incompat & INCOMPAT_64BIT)
        log_size = u32(raw, 24)
        revision = u32(raw, 76)
        block = cls(
            blocks=u32(raw, 4) | (u32(raw, 336) << 32 if wide else 0),
            block_size=1024 << min(log_size, 20),
            free_blocks=u32(raw, 12) | (u32(raw, 344) << 32 if wide else 0),
            inodes=u32(raw, 0),
            free_inodes=u32(raw, 16),
            first_data_block=u32(raw, 20),
            blocks_per_group=u32(raw, 32),
            inodes_per_group=u32(raw, 40),
            inode_size=u16(raw, 88) if revision else 128,
            compat=u32(raw, 92),
            incompat=incompat,
            ro_compat=u32(raw, 100),
            uuid=_uuid(raw[104:120]),
            label=_text(raw[120:136]),
            last_mounted=_text(raw[136:200]),
            journal_inode=u32(raw, 224),
            descriptor_size=max(u16(raw, 254), 32) if wide else 32,
            first_meta_group=u32(raw, 260),
            backup_groups=(u32(raw, 588), u32(raw, 592)),
            unmounted_cleanly=bool(u16(raw, 58) & 1) and not u16(raw, 58) & 2,
            errors_seen=u32(raw, 404),
            written_at=u32(raw, 48),
        )
        block._refuse_nonsense()
        return block

    def _refuse_nonsense(self) -> None:
        checks = (
            (self.block_size in _BLOCK_SIZES, f"block size {self.block_size}"),
            (self.blocks > self.first_data_block, f"{self.blocks} blocks"),
            (0 < self.blocks_per_group <= 8 * self.block_size, f"{self.blocks_per_group} blocks per group"),
            (0 < self.inodes_per_group <= 8 * self.block_size, f"{self.inodes_per_group} inodes per group"),
            (_SMALLEST_INODE <= self.inode_size <= self.block_size, f"inodes of {self.inode_size} bytes"),
            (self.descriptor_size <= self.block_size, f"group descriptors of {self.descriptor_size} bytes"),
            (not self.incompat & _UNKNOWN, f"features unknown here: {self.incompat & _UNKNOWN:#x}"),
        )
        wrong = [what for holds, what in checks if not holds]
        if wrong:
            raise ImageError(f"the superblock cannot be used: {', '.join(wrong)}")


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "backslashreplace")


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def u16(raw: bytes, offset: int) -> int:
    """Read a little-endian number of two bytes."""
    return int.from_bytes(raw[offset : offset + 2], "little")


def u32(raw: bytes, offset: int) -> int:
    """Read a little-endian number of four bytes."""
    return int.from_bytes(raw[offset : offset + 4], "little")
