"""What the user sees while tools are made: plain lines, and on a terminal one line which is rewritten."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

Report = Callable[[str], None]

MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
LIVE_SECONDS = 1.0
LINE_SECONDS = 30.0


class Console:
    """Writes to a stream: ``console(text)`` writes a line, ``live(text)`` rewrites the last one if it is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = ""
        self.terminal = self._stream.isatty()

    def __call__(self, text: str) -> None:
        """Write one line."""
        self._write("\r" + " " * len(self._live) + "\r" if self._live else "", text + "\n")
        self._live = ""

    def live(self, text: str) -> None:
        """Rewrite the live line."""
        self._write("\r" + text.ljust(len(self._live)))
        self._live = text

    def _write(self, *parts: str) -> None:
        self._stream.write("".join(parts))
        self._stream.flush()


class Progress:
    """Tells how long something has been going on and how long it was expected to take. ``tick`` is called often."""

    def __init__(self, report: Report, label: str, estimate: float) -> None:
        self._report = report
        self._label = label
        self._estimate = estimate
        self._start = self._last = time.monotonic()

    def tick(self) -> None:
        """Tell it, if it is time to tell it again."""
        now = time.monotonic()
        terminal = isinstance(self._report, Console) and self._report.terminal
        if now - self._last < (LIVE_SECONDS if terminal else LINE_SECONDS):
            return
        self._last = now
        text = f"{self._label}: {duration(now - self._start)} of about {duration(self._estimate)}"
        if isinstance(self._report, Console) and terminal:
            self._report.live(text)
        else:
            self._report(text)

    def done(self, text: str) -> None:
        """Tell the end."""
        self._report(f"{self._label}: {text} ({duration(time.monotonic() - self._start)})")


def duration(seconds: float) -> str:
    """Return a time for people: ``45s``, ``4m05s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def size(count: float) -> str:
    """Return a number of bytes for people: ``27 MB``, ``1.2 GB``."""
    return f"{count / GIGABYTE:.1f} GB" if count >= GIGABYTE else f"{count / MEGABYTE:.0f} MB"
