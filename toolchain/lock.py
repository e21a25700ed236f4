"""One set-up at a time per cache."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.progress import Report


@contextmanager
def exclusive(path: Path, report: Report) -> Iterator[int]:
    """Hold the lock file; whoever comes second says so and waits. Gives the descriptor.

    The kernel releases the lock with the last process that has the descriptor open. A build inherits it, so when its
    parent is killed, the next set-up still waits for the orphan instead of working in the same folders.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"another set-up is at work in {path.parent}; waiting until it has finished")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
