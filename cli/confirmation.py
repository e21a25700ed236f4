"""Ask before something that cannot be taken back."""

from __future__ import annotations

import sys

from cli.errors import InputError


def confirmed(stack: str, question: str) -> bool:
    """Ask the person at the terminal to type the stack's name. Raises InputError when nobody can answer."""
    if not sys.stdin.isatty():
        raise InputError(f"{question} Nobody is there to answer: run it at a terminal, or give --yes")
    return input(f"{question} Type the stack's name to go on: ").strip() == stack
