"""Digests content in a thread of its own, so that hashing costs no time while a disk is waited for."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from .digest import ContentDigest, Runs

_BATCH = 1 << 20
_QUEUED = 4
"""Batches that may wait; with this the memory in use is bounded."""


class Hasher:
    """Feeds a ContentDigest in batches. Add in ascending order; close it when done."""

    def __init__(self, digest: ContentDigest | None = None) -> None:
        self._digest = digest or ContentDigest()
        self._thread = ThreadPoolExecutor(1)
        self._queue: deque[Future[None]] = deque()
        self._batch: list[tuple[int, bytes, Runs]] = []
        self._size = 0

    def add(self, offset: int, content: bytes, runs: Runs) -> None:
        """Add the next piece; it waits when the thread is far behind."""
        self._batch.append((offset, content, runs))
        self._size += len(content)
        if self._size >= _BATCH:
            self._flush()

    def snapshot(self) -> Future[str]:
        """Return the content digest of what was added so far, as soon as it is known."""
        self._flush()
        return self._thread.submit(self._digest.content)

    def copy(self) -> ContentDigest:
        """Return a digest of what was added so far that goes its own way."""
        self._flush()
        return self._thread.submit(self._digest.copy).result()

    def finish(self, size: int) -> tuple[str, str | None, int]:
        """Return the content digest, the SHA-256 of the image if asked for, and the bytes that are not zero."""
        self._flush()
        return self._thread.submit(self._finish, size).result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _finish(self, size: int) -> tuple[str, str | None, int]:
        return self._digest.content(), self._digest.stream(size), self._digest.data_bytes

    def _flush(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        if batch:
            self._queue.append(self._thread.submit(self._add, batch))
        while len(self._queue) > _QUEUED:
            self._queue.popleft().result()

    def _add(self, batch: list[tuple[int, bytes, Runs]]) -> None:
        for offset, content, runs in batch:
            self._digest.add(offset, content, runs)
