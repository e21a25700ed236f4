"""What a command gives back, and how it is shown: text or JSON, progress beside it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TextIO

from .errors import Status
from .observer import Observer, Progress

_SECONDS_BETWEEN = 0.5


@dataclass(frozen=True)
class Outcome:
    """A command's result. `to_error` keeps standard output free for an image."""

    status: Status
    document: dict[str, Any]
    lines: Iterable[str]
    to_error: bool = False


class Screen(Observer):
    """Shows progress on a terminal, and results; hears of interruption."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last = 0.0
        self._shown = False
        self.stopped = False
        """Whether somebody asked to stop."""

    def cancelled(self) -> bool:
        """Say whether somebody asked to stop."""
        return self.stopped

    def progress(self, progress: Progress) -> None:
        """Show how far it is, on a terminal only."""
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN or not sys.stderr.isatty():
            return
        self._last, self._shown = now, True
        share = 100 * progress.done // max(progress.total, 1)
        sys.stderr.write(f"\r{progress.phase}: {share:3d}%  {progress.done >> 20} of {progress.total >> 20} MiB \033[K")
        sys.stderr.flush()

    def show(self, outcome: Outcome) -> None:
        """Show a result."""
        self._clear()
        stream = sys.stderr if outcome.to_error else sys.stdout
        if self._as_json:
            _write(stream, json.dumps(outcome.document, indent=2))
        else:
            for line in outcome.lines:
                _write(stream, line)
        stream.flush()

    def fail(self, status: Status, code: str, message: str) -> None:
        """Show why there is no result."""
        self._clear()
        if self._as_json:
            document = {"status": status.name.lower(), "error": {"code": code, "message": message}}
            _write(sys.stdout, json.dumps(document, indent=2))
        else:
            _write(sys.stderr, f"{status.name.lower().replace('_', ' ')}: {message}")

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")


def _write(stream: TextIO, line: str) -> None:
    """Write a line; names that the terminal's encoding cannot show are escaped."""
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
