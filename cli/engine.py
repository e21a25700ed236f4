"""Run the engine for a stack."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from cli import processes
from cli.errors import CommandError, InputError
from cli.session import Session
from toolchain.paths import ROOT


def run(
    session: Session,
    arguments: Sequence[str],
    *,
    extra_environment: dict[str, str] | None = None,
    output: int | None = None,
) -> int:
    """Run `pulumi` on the terminal and return its exit status; `output` is a file for what it prints."""
    environment = session.environment | (extra_environment or {})
    return processes.run([session.home.pulumi, *arguments], cwd=ROOT, env=environment, stdout=output)


def capture(session: Session, arguments: Sequence[str], *, given: str = "") -> str:
    """Run `pulumi` quietly, with this on its standard input, and return what it prints.

    Raises CommandError with the engine's own last words, InputError for a wrong passphrase.
    """
    done = subprocess.run(
        [session.home.pulumi, *arguments],
        cwd=ROOT,
        env=session.environment,
        input=given,
        capture_output=True,
        encoding="utf-8",  # as the engine writes it; the locale may say otherwise
        errors="backslashreplace",
        check=False,
    )
    if done.returncode:
        raise _failure(done.stderr or done.stdout, arguments)
    return done.stdout


def capture_json(session: Session, arguments: Sequence[str]) -> Any:  # noqa: ANN401 - whatever JSON the engine prints
    """Run `pulumi` quietly and return the JSON it prints. Raises CommandError."""
    return json.loads(capture(session, arguments) or "null")


def _failure(text: str, arguments: Sequence[str]) -> CommandError:
    """Return the error for what a failed run of the engine said."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    words = f"pulumi {arguments[0]}: " + ("\n".join(lines[-8:]) if lines else "it said nothing")
    if "incorrect passphrase" in text:
        return InputError(
            f"{words}\nthe passphrase is taken from PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE; "
            "for the embedded sandbox unset both"
        )
    if "no stack named" in text:
        words += "\nnothing was made of it yet: run `./factory up`"
    return CommandError(words)
