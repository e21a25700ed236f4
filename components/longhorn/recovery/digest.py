"""The digest of a volume's content: the same for a sparse and a full image, and as fast for 1 TiB as for its data."""

from __future__ import annotations

import hashlib
import struct

from .metadata import BLOCK

Runs = list[tuple[int, int]]
"""Start and end of what is not zero within a piece of content, in whole blocks."""

_OFFSET = struct.Struct("<Q")
FRAME = _OFFSET.size + BLOCK
"""A block behind its offset."""
_WORD = 8
_ZERO = bytes(BLOCK)
_ZEROS = bytes(1 << 20)


def data_runs(content: memoryview) -> Runs:
    """Return where a piece of content, in whole blocks, has blocks that are not all zero."""
    runs: Runs = []
    begin = -1
    # Most blocks show by their first word that they are not zero.
    for index, word in enumerate(content.cast("Q")[:: BLOCK // _WORD].tolist()):
        offset = index * BLOCK
        if not word and bytes(content[offset : offset + BLOCK]) == _ZERO:
            if begin >= 0:
                runs.append((begin, offset))
                begin = -1
        elif begin < 0:
            begin = offset
    if begin >= 0:
        runs.append((begin, len(content)))
    return runs


def pack(frames: memoryview, offset: int, content: memoryview, runs: Runs) -> int:
    """Put the runs' blocks into memory as they are hashed, each behind its offset; return how many bytes that takes."""
    at = 0
    for begin, end in runs:
        for place in range(begin, end, BLOCK):
            _OFFSET.pack_into(frames, at, offset + place)
            frames[at + _OFFSET.size : at + FRAME] = content[place : place + BLOCK]
            at += FRAME
    return at


class ContentDigest:
    """SHA-256 over (offset as 8 bytes little-endian, 4096 bytes) of each block that is not all zero, ascending.

    With `stream` also the plain SHA-256 of the whole image, holes read as zeros, which costs as much as its size.
    """

    def __init__(self, *, stream: bool = False) -> None:
        self._content = hashlib.sha256()
        self._stream = hashlib.sha256() if stream else None
        self._position = 0
        self.data_bytes = 0
        """Bytes of the blocks that are not all zero."""

    def add(self, frames: memoryview) -> None:
        """Add blocks as `pack` has put them, in ascending order."""
        self._content.update(frames)
        self.data_bytes += len(frames) // FRAME * BLOCK
        if self._stream:
            for at in range(0, len(frames), FRAME):
                self._add_zeros(_OFFSET.unpack_from(frames, at)[0])
                self._stream.update(frames[at + _OFFSET.size : at + FRAME])
                self._position += BLOCK

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

    def _add_zeros(self, until: int) -> None:
        while self._stream and self._position < until:
            step = min(until - self._position, len(_ZEROS))
            self._stream.update(_ZEROS[:step])
            self._position += step
