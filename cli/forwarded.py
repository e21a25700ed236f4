"""What goes on to the engine behind our own options: that it is options, and what they mean for us."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from cli.errors import InputError

__all__ = ["VALUED", "narrowed", "options", "widened"]

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
    for word in _alone(words):
        name, _, value = word.partition("=")
        if word.startswith(_NARROWING_LETTERS) or (name in _NARROWING and value != "false"):
            return True
    return False


def widened(words: Sequence[str]) -> bool:
    """Whether what stands on a part is to be taken with it."""
    return any(word in {"--target-dependents", "--target-dependents=true"} for word in _alone(words))


def _alone(words: Sequence[str]) -> Iterator[str]:
    """Yield the options, without the words that are values of those before them."""
    is_value = False
    for word in words:
        if not is_value:
            yield word
        is_value = not is_value and VALUED.fullmatch(word) is not None
