"""A command on a terminal of its own, with somebody who reads and types."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.project import Project

_SECONDS = 300


@dataclass
class Terminal:
    """What stands on the screen, and the keyboard."""

    process: subprocess.Popen[Any]
    keyboard: int
    screen: str = field(default="")

    def wait_for(self, pattern: str) -> None:
        """Read until the pattern stands on the screen."""
        deadline = time.monotonic() + _SECONDS
        while not re.search(pattern, self.screen):
            assert time.monotonic() < deadline, f"{pattern!r} never came:\n{self.screen}"
            assert self._read(), f"it ended before {pattern!r} came:\n{self.screen}"

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self.keyboard, f"{text}\n".encode())

    def status(self) -> int:
        """Read to the end and return the exit status."""
        while self._read():
            pass
        return self.process.wait(timeout=_SECONDS)

    def _read(self) -> bool:
        try:
            ready, _, _ = select.select([self.keyboard], [], [], 1)
            chunk = os.read(self.keyboard, 65536) if ready else b""
        except OSError:
            return False  # nobody holds the other end any more
        self.screen += chunk.decode(errors="replace")
        return bool(chunk) or self.process.poll() is None


@contextmanager
def terminal(project: Project, *arguments: str) -> Iterator[Terminal]:
    """Start `./factory ARGUMENTS` on a terminal."""
    keyboard, other_end = pty.openpty()
    with subprocess.Popen(
        ["./factory", *arguments],
        cwd=project.root,
        env=project.variables | {"TERM": "xterm"},
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
    ) as process:
        os.close(other_end)
        try:
            yield Terminal(process, keyboard)
        finally:
            if process.poll() is None:
                process.kill()
            os.close(keyboard)
