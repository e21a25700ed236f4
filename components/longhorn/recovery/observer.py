"""What a caller may watch and stop while something long runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a pass is, in bytes; `offset` is the place in the volume."""

    phase: str
    done: int
    total: int
    offset: int


class Observer:
    """What a caller may watch and stop. The methods here do nothing."""

    def progress(self, progress: Progress) -> None:
        """Hear of progress, after each piece of up to a mebibyte."""

    def step(self, name: str) -> None:
        """Hear that a step is done; what follows it may be interrupted at any point."""

    def cancelled(self) -> bool:
        """Say whether to stop; asked before each piece."""
        return False
