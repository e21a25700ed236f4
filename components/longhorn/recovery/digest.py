"""The digest of a volume's content: the same for a sparse and a full image, and as fast for 1 TiB as for its data."""

from __future__ import annotations

import hashlib
import struct

from .metadata import BLOCK

Runs = list[tuple[int, int]]
"""Start and end of what is not zero within a piece of content, in whole blocks."""

_OFFSET = struct.Struct("<Q")
_FRAMES = 256
"""Blocks that are hashed at a time."""
_ZERO = bytes(BLOCK)
_ZEROS = bytes(1 << 20)


def data_runs(content: bytes) -> Runs:
    """Return where a piece of content has blocks that are not all zero."""
    if content == _ZEROS[: len(content)]:
        return []
    runs: Runs = []
    begin = -1
    for offset in range(0, len(content), BLOCK):
        if content[offset : offset + BLOCK] == _ZERO:
            if begin >= 0:
                runs.append((begin, offset))
                begin = -1
        elif begin < 0:
            begin = offset
    if begin >= 0:
        runs.append((begin, len(content)))
    return runs


class ContentDigest:
    """SHA-256 over (offset as 8 bytes little-endian, 4096 bytes) of each block that is not all zero, ascending.

    With `stream` also the plain SHA-256 of the whole image, holes read as zeros, which costs as much as its size.
    """

    def __init__(self, *, stream: bool = False) -> None:
        self._content = hashlib.sha256()
        self._stream = hashlib.sha256() if stream else None
        self._frames = memoryview(bytearray(_FRAMES * (_OFFSET.size + BLOCK)))
        self._position = 0
        self.data_bytes = 0
        """Bytes of the blocks that are not all zero."""

    def add(self, offset: int, content: bytes, runs: Runs) -> None:
        """Add the next piece; `offset` and the length are whole blocks, and offsets ascend."""
        view = memoryview(content)
        for begin, end in runs:
            for first in range(begin, end, _FRAMES * BLOCK):
                self._add_blocks(offset + first, view[first : min(first + _FRAMES * BLOCK, end)])
            self.data_bytes += end - begin
        if self._stream:
            self._add_zeros(offset)
            self._stream.update(content)
            self._position = offset + len(content)

    def copy(self) -> ContentDigest:
        """Return a digest of the same content, without the stream, that goes its own way."""
        other = ContentDigest()
        other._content, other.data_bytes = self._content.copy(), self.data_bytes
        return other

    def content(self) -> str:
        """Return the digest of what was added so far, in hexadecimal."""
        return self._content.hexdigest()

    def stream(self, size: int) -> str | None:
        """Return the SHA-256 of the image of `size` bytes, if it was asked for."""
        if not self._stream:
            return None
        self._add_zeros(size)
        return self._stream.hexdigest()

    def _add_blocks(self, offset: int, blocks: memoryview) -> None:
        """Hash each block behind its offset, put together in one place: new memory each time costs more than that."""
        at = 0
        for place in range(0, len(blocks), BLOCK):
            block = blocks[place : place + BLOCK]
            _OFFSET.pack_into(self._frames, at, offset + place)
            at += _OFFSET.size + len(block)
            self._frames[at - len(block) : at] = block
        self._content.update(self._frames[:at])

    def _add_zeros(self, until: int) -> None:
        while self._stream and self._position < until:
            step = min(until - self._position, len(_ZEROS))
            self._stream.update(_ZEROS[:step])
            self._position += step
