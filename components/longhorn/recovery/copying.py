"""Copies a volume to a target in one ascending pass: bounded memory, progress, cancelling, rate limit, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from .digest import ContentDigest, data_runs
from .errors import CancelledError
from .hashing import Hasher
from .journal import Checkpoint
from .manifest import Content, Unreadable
from .metadata import BLOCK
from .observer import Observer, Progress
from .plan import Plan
from .readback import ahead, read_back
from .target import Target
from .union import Segment
from .volume import ReadFailedError, Volume, chunks

CHECKPOINT_BYTES = 256 << 20
"""So much is copied between two checkpoints."""


@dataclass(frozen=True)
class CopyOptions:
    """How to copy. `rate` limits reading, in bytes per second."""

    stream_sha256: bool = False
    zero_unreadable: bool = False
    rate: int | None = None


class Copy:
    """One pass over a volume, continuing at a checkpoint if there is one."""

    def __init__(
        self,
        volume: Volume,
        plan: Plan,
        target: Target,
        *,
        options: CopyOptions,
        observer: Observer,
        reached: Callable[[Checkpoint], None] | None = None,
    ) -> None:
        self._volume = volume
        self._plan = plan
        self._target = target
        self._options = options
        self._observer = observer
        self._reached = reached
        self._hasher = Hasher(ContentDigest(stream=options.stream_sha256))
        self._resumed = ContentDigest()
        self._start = 0
        self._syncer = ThreadPoolExecutor(1)
        self._syncing: Future[None] | None = None
        self._since_checkpoint = 0
        self._done = 0
        self.unreadable: list[Unreadable] = []

    def resume(self, checkpoint: Checkpoint) -> int:
        """Read back what an earlier run left below the checkpoint, and return where to go on.

        What is not what that run wrote is given up: then it is 0.
        """
        if checkpoint.position == 0:
            return 0
        self._target.forget()
        ranges = self._target.ranges(0, checkpoint.position)
        for offset, content in read_back(self._target, ranges, checkpoint.position, self._observer):
            self._hasher.add(offset, content, data_runs(content))
        if self._hasher.snapshot().result() == checkpoint.digest:
            self.unreadable = list(checkpoint.unreadable)
            self._resumed, self._start = self._hasher.copy(), checkpoint.position
            return checkpoint.position
        self._hasher.close()
        self._hasher = Hasher(ContentDigest(stream=self._options.stream_sha256))
        self._target.clear()
        return 0

    def run(self, start: int = 0) -> Content:
        """Copy everything from `start` on, and finish the target.

        Raises ReadFailedError, OSError of the target, and CancelledError after a last checkpoint.
        """
        throttle = _Throttle(self._options.rate)
        for segment, begin, end in ahead(self._pieces(start), lambda s, b, e: self._volume.expect(s.owners, b, e)):
            if self._observer.cancelled():
                self._checkpoint(begin, wait=True)
                raise CancelledError("cancelled", f"stopped at {begin} of {self._plan.volume_size} bytes")
            self._piece(segment, begin, end)
            self._done += end - begin
            self._observer.progress(Progress("copy", self._done, self._plan.total, end))
            throttle.pause(end - begin)
        self._target.finish(self._plan.volume_size)
        self._checkpoint(self._plan.volume_size, wait=True)
        sha256, stream, data_bytes = self._hasher.finish(self._plan.volume_size)
        return Content(sha256, data_bytes, stream)

    def prove(self) -> str:
        """Return the digest of what is on the target, read from the disk and not from the cache.

        What `resume` has read back is not read again.
        """
        size = self._plan.volume_size
        self._target.forget()
        with closing(Hasher(self._resumed)) as hasher:
            ranges = self._target.ranges(self._start, size)
            for offset, content in read_back(self._target, ranges, size, self._observer):
                hasher.add(offset, content, data_runs(content))
            return hasher.finish(size)[0]

    def close(self) -> None:
        """End the threads."""
        self._syncer.shutdown()
        self._hasher.close()

    def _pieces(self, start: int) -> Iterator[tuple[Segment, int, int]]:
        for segment in self._volume.segments():
            self._done += max(min(segment.end, start) - segment.start, 0)
            for begin, end in chunks(iter([(max(segment.start, start), segment.end)])):
                yield segment, begin, end

    def _piece(self, segment: Segment, begin: int, end: int) -> None:
        try:
            content = self._volume.content(segment.owners, begin, end)
        except ReadFailedError:
            if not self._options.zero_unreadable:
                raise
            content = self._salvage(segment, begin, end)
        runs = data_runs(content)
        self._hasher.add(begin, content, runs)
        view = memoryview(content)
        for first, last in runs:
            self._target.write(begin + first, view[first:last])
        self._since_checkpoint += end - begin
        if self._since_checkpoint >= CHECKPOINT_BYTES:
            self._checkpoint(end)

    def _salvage(self, segment: Segment, begin: int, end: int) -> bytes:
        """Read block by block, and note what cannot be read."""
        return b"".join(self._block(segment, at) for at in range(begin, end, BLOCK))

    def _block(self, segment: Segment, at: int) -> bytes:
        try:
            return self._volume.content(segment.owners, at, at + BLOCK)
        except ReadFailedError as error:
            self._note(Unreadable(self._plan.layers[error.layer].name, at, BLOCK, error.strerror or str(error)))
            return bytes(BLOCK)

    def _note(self, piece: Unreadable) -> None:
        last = self.unreadable[-1] if self.unreadable else None
        if last and (last.layer, last.offset + last.length, last.reason) == (piece.layer, piece.offset, piece.reason):
            self.unreadable[-1] = Unreadable(last.layer, last.offset, last.length + piece.length, last.reason)
        else:
            self.unreadable.append(piece)

    def _checkpoint(self, position: int, *, wait: bool = False) -> None:
        """Bring what was written to the disk and note it, beside the copying; one at a time."""
        if self._reached is None or (self._syncing and not self._syncing.done() and not wait):
            return
        if self._syncing:
            self._syncing.result()
        self._since_checkpoint = 0
        self._syncing = self._syncer.submit(
            self._sync, self._reached, position, self._hasher.snapshot(), tuple(self.unreadable)
        )
        if wait:
            self._syncing.result()

    def _sync(
        self,
        reached: Callable[[Checkpoint], None],
        position: int,
        digest: Future[str],
        unreadable: tuple[Unreadable, ...],
    ) -> None:
        known = digest.result()
        self._target.sync()
        reached(Checkpoint(position, known, unreadable))


class _Throttle:
    """Keeps an average rate from its first call on, in bytes per second."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._begin = time.monotonic()
        self._bytes = 0

    def pause(self, count: int) -> None:
        if self._rate:
            self._bytes += count
            time.sleep(max(self._begin + self._bytes / self._rate - time.monotonic(), 0))
