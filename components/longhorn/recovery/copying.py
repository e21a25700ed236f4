"""Copies a volume to a target in one ascending pass: bounded memory, progress, cancelling, rate limit, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from .digest import ContentDigest
from .errors import CancelledError
from .journal import Checkpoint
from .manifest import Content, Unreadable
from .metadata import BLOCK
from .observer import Observer, Progress
from .plan import Plan
from .readback import read_back
from .reading import Load, read_ahead
from .target import Target
from .union import Segment
from .volume import ReadFailedError, Volume

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
        self._digest = ContentDigest(stream=options.stream_sha256)
        self._resumed = ContentDigest()
        self._start = 0
        self._writer = ThreadPoolExecutor(1)
        self._syncer = ThreadPoolExecutor(1)
        self._syncing: Future[None] | None = None
        self._since_checkpoint = 0
        self._done = 0
        self._failed: dict[Segment, list[Unreadable]] = {}
        self.unreadable: list[Unreadable] = []

    def resume(self, checkpoint: Checkpoint) -> int:
        """Read back what an earlier run left below the checkpoint, and return where to go on.

        What is not what that run wrote is given up: then it is 0.
        """
        if checkpoint.position == 0:
            return 0
        if self._read_back(self._digest, 0, checkpoint.position) == checkpoint.digest:
            self.unreadable = list(checkpoint.unreadable)
            self._resumed, self._start = self._digest.copy(), checkpoint.position
            return checkpoint.position
        self._digest = ContentDigest(stream=self._options.stream_sha256)
        self._target.clear()
        return 0

    def run(self, start: int = 0) -> Content:
        """Copy everything from `start` on, and finish the target.

        Raises ReadFailedError, OSError of the target, and CancelledError after a last checkpoint.
        """
        throttle = _Throttle(self._options.rate)
        size = self._plan.volume_size
        with closing(read_ahead(self._wanted(start), self._fill)) as loads:
            for load in loads:
                begin, end = load.pieces[0].segment.start, load.pieces[-1].segment.end
                if self._observer.cancelled():
                    self._checkpoint(begin, wait=True)
                    raise CancelledError("cancelled", f"stopped at {begin} of {size} bytes")
                copied = self._copy(load)
                self._done += copied
                self._observer.progress(Progress("copy", self._done, self._plan.total, end))
                self._since_checkpoint += copied
                if self._since_checkpoint >= CHECKPOINT_BYTES:
                    self._checkpoint(end)
                throttle.pause(copied)
        self._target.finish(size)
        self._checkpoint(size, wait=True)
        return Content(self._digest.content(), self._digest.data_bytes, self._digest.stream(size))

    def prove(self) -> str:
        """Return the digest of what is on the target, read from the disk and not from the cache.

        What `resume` has read back is not read again.
        """
        return self._read_back(self._resumed, self._start, self._plan.volume_size)

    def close(self) -> None:
        """End the threads."""
        self._writer.shutdown()
        self._syncer.shutdown()

    def _read_back(self, digest: ContentDigest, start: int, until: int) -> str:
        with self._target.written() as fill:
            return read_back(digest, fill, self._target.ranges(start, until), until, self._observer)

    def _wanted(self, start: int) -> Iterator[Segment]:
        for segment in self._volume.segments():
            self._done += max(min(segment.end, start) - segment.start, 0)
            yield segment._replace(start=max(segment.start, start))

    def _fill(self, segment: Segment, content: memoryview) -> None:
        """Read, in a thread."""
        try:
            self._volume.fill(segment.owners, segment.start, content)
        except ReadFailedError:
            if not self._options.zero_unreadable:
                raise
            self._failed[segment] = list(self._salvaged(segment, content))

    def _salvaged(self, segment: Segment, content: memoryview) -> Iterator[Unreadable]:
        """Read block by block; what cannot be read is zeros, and told."""
        for at in range(0, segment.length, BLOCK):
            failed = self._block(segment, segment.start + at, content[at : at + BLOCK])
            if failed:
                yield failed

    def _block(self, segment: Segment, at: int, content: memoryview) -> Unreadable | None:
        try:
            self._volume.fill(segment.owners, at, content)
        except ReadFailedError as error:
            content[:] = bytes(BLOCK)
            return Unreadable(self._plan.layers[error.layer].name, at, BLOCK, error.strerror or str(error))
        return None

    def _copy(self, load: Load) -> int:
        """Write in a thread, and hash meanwhile; return how many bytes it was."""
        writing = self._writer.submit(self._write, load)
        self._digest.add(load.frames)
        for segment, *_ in load.pieces:
            for unreadable in self._failed.pop(segment, ()):
                self._note(unreadable)
        writing.result()
        return sum(piece.segment.length for piece in load.pieces)

    def _write(self, load: Load) -> None:
        for segment, content, runs in load.pieces:
            for first, last in runs:
                self._target.write(segment.start + first, content[first:last])

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
            self._sync, self._reached, Checkpoint(position, self._digest.content(), tuple(self.unreadable))
        )
        if wait:
            self._syncing.result()

    def _sync(self, reached: Callable[[Checkpoint], None], checkpoint: Checkpoint) -> None:
        self._target.sync()
        reached(checkpoint)


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
