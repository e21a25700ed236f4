"""The two ways a command ends badly; and the file that the system refuses to write."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


class CommandError(Exception):
    """The work could not be done: one message, exit status 1."""

    status = 1


class InputError(CommandError):
    """What was given is wrong and nothing was changed: one message, exit status 2."""

    status = 2


@contextlib.contextmanager
def writing(file: Path) -> Iterator[None]:
    """Have the system's refusal name the file: that of a write does not, only that of an opening."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(file)
        raise
