"""The two ways a command ends badly."""

from __future__ import annotations


class CommandError(Exception):
    """The work could not be done: one message, exit status 1."""

    status = 1


class InputError(CommandError):
    """What was given is wrong and nothing was changed: one message, exit status 2."""

    status = 2
