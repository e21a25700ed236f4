"""What is wrong with a configuration: one `Problem` per mistake, all of them reported together.

A problem never carries a secret: values below an encrypted key, values of unknown keys and values under a key whose
name speaks of secrets are not kept, and the password of a URL is masked.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NAMESPACE = "factory"
"""The configuration namespace; it equals the project's name in Pulumi.yaml."""

EXIT_OK = 0
EXIT_BAD_INPUT = 2
"""Exit statuses of `./factory config validate` and of every command that refuses a configuration."""

_SECRET_NAME = re.compile(r"pass|secret|token|credential|private|api_?key", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_LONGEST_VALUE = 80

Path = tuple[str | int, ...]
"""Where a value stands inside the configuration: `("apps", "webapp", "hosts", 0)`."""


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, what is written there, the rule it breaks and what to do.

    `line` and `column` start at 1 and are absent when no file was read (configuration handed over by the engine).
    A `pending` problem is not a mistake of the file: only the operator can complete it, after `pulumi stack init`.
    """

    file: str
    path: str
    rule: str
    fix: str
    value: str | None = None
    line: int | None = None
    column: int | None = None
    pending: bool = False

    def __str__(self) -> str:
        """One line: `file:line:column: key = value: rule. Fix.`."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        subject = self.path if self.value is None else f"{self.path} = {self.value}"
        message = ": ".join(part for part in (place, subject, self.rule) if part)
        return f"{_sentence(message)} {_sentence(self.fix)}".rstrip()


class SettingsError(ValueError):
    """The configuration is refused; `problems` holds every mistake found, never only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(render(self.problems))


def render(problems: Iterable[Problem]) -> str:
    """Write the problems one per line, mistakes first, what is still to be completed after them."""
    ordered = sorted(problems, key=lambda p: (p.pending, p.file, p.line or 0, p.column or 0, p.path, p.rule))
    return "\n".join(("to do: " if problem.pending else "") + str(problem) for problem in ordered)


def exit_status(problems: Iterable[Problem]) -> int:
    """0 when nothing but pending problems is left, else 2."""
    return EXIT_OK if all(problem.pending for problem in problems) else EXIT_BAD_INPUT


def key_path(path: Path) -> str:
    """How a key is written for a reader and for `pulumi config --path`: `factory:apps.webapp.hosts[0]`."""
    if not path:
        return ""
    text = f"{NAMESPACE}:{path[0]}"
    for part in path[1:]:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.match(part):
            text += f".{part}"
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


def set_secret(file: str, path: Path, *, initialised: bool = True) -> str:
    """How a secret is set, for the stack of this file, whichever one is selected and wherever `pulumi` is."""
    stack = file.removeprefix("Pulumi.").removesuffix(".yaml")
    pulumi = f"./factory pulumi {stack} --"
    first = "" if initialised else f"`{pulumi} stack init {stack}`, then "
    return f"{first}`{pulumi} config set --secret --path '{key_path(path).partition(':')[2]}'`"


def shown(path: Path, value: object) -> str | None:
    """How a value may appear in a message; None when it could be a secret or says nothing (a whole section)."""
    if any(isinstance(part, str) and _SECRET_NAME.search(part) for part in path) or isinstance(value, dict):
        return None
    text = _URL_PASSWORD.sub(r"\1:***@", json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Advise for an unknown word: the nearest known one, or the list of all of them."""
    names = sorted(known)
    text = str(word)
    near = difflib.get_close_matches(text, names, n=1)
    near = near or [name for name in names if text and (text.startswith(name) or name.startswith(text))]
    if near:
        return f"Did you mean `{near[0]}`?"
    return f"Known here: {', '.join(names)}." if names else "Remove it."


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".?!…" else text + "."
