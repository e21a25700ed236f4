"""Reading in order and several loads at once; from the disk, or by the cache where a file system cannot do that."""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from components.longhorn.recovery import reading
from components.longhorn.recovery.extents import LayerFile
from components.longhorn.recovery.reading import read_ahead
from components.longhorn.recovery.union import Segment
from tests.recovery.model.layers import BLOCK, content

ROW = "AB0D" * 50


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LayerFile]:
    """Ends within its last block."""
    path = tmp_path / "layer"
    path.write_bytes(content(ROW)[:-100])
    with closing(LayerFile(path)) as opened:
        opened.past_the_cache()
        yield opened


def everything(file: LayerFile) -> bytes:
    with closing(read_ahead([Segment(0, len(ROW) * BLOCK, ())], lambda s, b: file.fill(s.start, b))) as loads:
        return b"".join(bytes(piece.content) for load in loads for piece in load.pieces)


def test_a_file_is_read_past_the_cache_with_zeros_beyond_its_end(file: LayerFile) -> None:
    assert everything(file) == content(ROW)[:-100] + bytes(100)


def test_a_file_system_that_cannot_go_past_the_cache_is_read_through_it(
    file: LayerFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.preadv

    def picky(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(fd, list(buffers), offset)

    monkeypatch.setattr(os, "preadv", picky)
    assert everything(file) == content(ROW)[:-100] + bytes(100)


def test_a_file_that_became_shorter_is_an_error(file: LayerFile) -> None:
    os.truncate(file.path, 70 * BLOCK)
    with pytest.raises(OSError, match=f"ends at {70 * BLOCK}"):
        everything(file)


def test_loads_come_in_order_and_only_so_many_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ranges share a load, a large one has several; an error comes when it is its load's turn."""
    monkeypatch.setattr(reading, "LOAD_BYTES", 4 * BLOCK)
    wanted = [Segment(n * 10 * BLOCK, (n * 10 + 1 + n % 9) * BLOCK, (n,)) for n in range(30)]
    begun: set[int] = set()
    lock, last = threading.Lock(), wanted[-1]

    def fill(segment: Segment, buffer: memoryview) -> None:
        with lock:
            begun.add(segment.start)
        if segment.owners == last.owners:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        buffer[:] = bytes([segment.owners[0]]) * len(buffer)

    seen: list[Segment] = []

    def drain() -> None:
        with closing(read_ahead(wanted, fill)) as loads:
            for load in loads:
                assert sum(piece.segment.length for piece in load.pieces) == 4 * BLOCK
                seen.extend(piece.segment for piece in load.pieces)
                for segment, found, runs in load.pieces:
                    assert bytes(found) == bytes([segment.owners[0]]) * segment.length
                    assert runs == ([(0, segment.length)] if segment.owners[0] else [])
                assert len(begun - {segment.start for segment in seen}) <= 4 * reading._LOADS

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        drain()
    blocks = [(at, piece.owners) for piece in seen for at in range(piece.start, piece.end, BLOCK)]
    right = [(at, piece.owners) for piece in wanted for at in range(piece.start, piece.end, BLOCK)]
    assert blocks == right[: len(blocks)]
    assert last.owners not in {piece.owners for piece in seen}
