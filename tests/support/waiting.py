"""Waiting for what comes about by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Answer = TypeVar("_Answer")


def until(probe: Callable[[], _Answer], seconds: float = 90) -> _Answer:
    """Return the first true answer of a probe; a test that waits in vain fails."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain, the last answer was {answer!r}"
        time.sleep(0.05)
    return answer
