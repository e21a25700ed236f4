"""How a recovery ends, as exit statuses and as errors."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The exit status of a command."""

    RECOVERED = 0
    """Done, nothing to remark."""
    FAILED = 1
    """The machine refused: a read, a write, a full disk. The sources are untouched; the same command goes on."""
    BAD_INPUT = 2
    """What was asked for makes no sense; nothing was done."""
    WARNINGS = 3
    """Done, and there is something that a person must read."""
    REFUSED = 4
    """Possible, but dangerous or pointless; where the message offers it, `--accept CODE` does it nevertheless."""
    DAMAGED = 5
    """The data is not there, or not consistent; nothing was written."""
    CANCELLED = 130
    """Stopped by the caller; the same command continues."""


class RecoveryError(Exception):
    """An operation ended without a result. `code` is stable and names the reason, the message says it to a person."""

    status = Status.FAILED

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BadInputError(RecoveryError):
    """A wrong argument."""

    status = Status.BAD_INPUT


class RefusedError(RecoveryError):
    """Possible, but dangerous: a person has to accept the risk by its code."""

    status = Status.REFUSED


class DamagedError(RecoveryError):
    """The source cannot give the volume's content."""

    status = Status.DAMAGED


class CancelledError(RecoveryError):
    """The caller stopped the operation."""

    status = Status.CANCELLED
