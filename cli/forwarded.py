"""What goes on to the engine behind our own options: that it is options, and what they mean for us."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cli.errors import InputError

__all__ = ["VALUED", "narrowed", "options"]

VALUED: Final = re.compile(
    "--(?:color|config|config-file|cwd|exclude|exec-agent|exec-kind|import-file|memprofilerate|message|otel-traces|"
    "override-env|parallel|plan|policy-pack|policy-pack-config|profiling|replace|save-plan|secrets-provider|stack|"
    "target|target-replace|tracing|verbose)|-[Ccmpstvx]"
)
"""The options of `up`, `preview` and `destroy` whose value may be a word of its own."""
_NARROWING: Final = ("--target", "--target-replace", "--exclude", "--exclude-protected")
_NARROWING_LETTERS: Final = ("-t", "-x")


def options(words: Sequence[str]) -> list[str]:
    """Return what goes to the engine. Raises InputError for a word: it would fetch a template of that name."""
    before = ""
    for word in words:
        if not word.startswith("-") and not VALUED.fullmatch(before):
            value = f", the value of an option as in {before}={word}" if before.startswith("-") else ""
            raise InputError(
                f"{word!r} is no option; a stack is named by --stack {word}, a section by --only {word}{value}"
            )
        before = word
    return list(words)


def narrowed(words: Sequence[str]) -> bool:
    """Whether the person who runs this has the engine take a part of the resources only.

    `--target-dependents` and `--exclude-dependents` widen such a part, and mean nothing without one.
    """
    return any(word.partition("=")[0] in _NARROWING or word.startswith(_NARROWING_LETTERS) for word in words)
