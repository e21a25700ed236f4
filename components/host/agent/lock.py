"""One run at a time on a host: a lock that the kernel gives back when its process ends, however it ends.

The file tells who holds it. A file that nobody holds is left over from a killed run: it is taken over and goes with the
end of this one.
"""

from __future__ import annotations

import fcntl
import os
import time

from .errors import AgentError
from .json_text import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host

_MODE = 0o600
_PAUSE = 0.1


class Lock:
    """The host's lock, held from :meth:`take` to :meth:`release` or the end of the process."""

    def __init__(self, host: Host) -> None:
        directory = "/run/lock" if os.path.isdir(host.path("/run/lock")) else "/run"
        self._directory = host.path(directory)
        self.path = f"{self._directory}/factory.lock"
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._descriptor is not None

    def take(self, holder: str, wait: float) -> None:
        """Take it, waiting up to so many seconds; raises AgentError that names who has it."""
        if self.held:
            return
        deadline = time.monotonic() + wait
        os.makedirs(self._directory, exist_ok=True)
        while not self._try():
            if time.monotonic() >= deadline:
                raise AgentError("locked", f"another run works on this host: {self._told()}; wait for its end")
            time.sleep(_PAUSE)
        note = {"holder": holder, "pid": os.getpid(), "since": int(time.time())}
        os.ftruncate(self._fd(), 0)
        os.pwrite(self._fd(), dumps(note, ascii_only=True).encode(), 0)

    def release(self) -> None:
        """Give it back and leave nothing."""
        if self._descriptor is not None:
            os.unlink(self.path)
            os.close(self._descriptor)
            self._descriptor = None

    def _fd(self) -> int:
        assert self._descriptor is not None  # noqa: S101 take() opened it
        return self._descriptor

    def _try(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last holder may have removed the file between our opening and locking it.
            current = os.stat(self.path)
            if (current.st_dev, current.st_ino) == (os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino):
                self._descriptor = descriptor
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return False

    def _told(self) -> str:
        try:
            with open(self.path, encoding="utf-8") as file:
                note: dict[str, Any] = loads(file.read() or "{}")
        except (OSError, ValueError):
            note = {}
        seconds = int(time.time()) - int(note.get("since", time.time()))
        return f"{note.get('holder', 'unknown')} (process {note.get('pid', '?')}, for {seconds} s)"
