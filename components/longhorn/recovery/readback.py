"""Reads an image back from the disk, and digests what it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from .digest import ContentDigest
from .errors import CancelledError
from .extents import LayerFile, Range
from .observer import Observer, Progress
from .reading import read_ahead
from .union import Segment

Fill = Callable[[int, memoryview], None]
"""Fills a buffer with what lies at an offset. Raises OSError."""


def read_back(digest: ContentDigest, fill: Fill, ranges: Iterator[Range], until: int, observer: Observer) -> str:
    """Add what lies in ranges that end below `until` to a digest, and return it. Raises OSError, CancelledError."""
    wanted = (Segment(begin, end, ()) for begin, end in ranges)
    with closing(read_ahead(wanted, lambda segment, buffer: fill(segment.start, buffer))) as loads:
        for load in loads:
            if observer.cancelled():
                raise CancelledError("cancelled", f"stopped while reading back, at {load.pieces[0].segment.start}")
            digest.add(load.frames)
            end = load.pieces[-1].segment.end
            observer.progress(Progress("read back", end, until, end))
    return digest.content()


def digest_of_file(path: Path, observer: Observer | None = None) -> str:
    """Return the content digest of an image. Raises OSError, CancelledError."""
    with closing(LayerFile(path)) as file:
        file.past_the_cache()
        return read_back(ContentDigest(), file.fill, file.ranges(), file.size, observer or Observer())
