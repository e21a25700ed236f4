"""Ask before production changes."""

from __future__ import annotations

import sys

from cli.errors import InputError


def confirmed(stack: str, question: str | None = None) -> bool:
    """Ask the person at the terminal to type the stack's name. Raises InputError when nobody can answer."""
    if not sys.stdin.isatty():
        raise InputError(
            f"stack {stack!r} is not changed without a confirmation; at a terminal you are asked, elsewhere give --yes"
        )
    answer = input(f"{question or f'Apply exactly this plan to stack {stack!r}?'} Type the stack's name to go on: ")
    return answer.strip() == stack
