"""Lines that tell what is being done, on standard error: standard output belongs to a command's result."""

from __future__ import annotations

import sys


def report(line: str) -> None:
    """Print one line of progress."""
    sys.stderr.write(f"factory: {line}\n")
    sys.stderr.flush()
