"""Stack files, checked and started."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from cli.errors import InputError
from cli.stack import PROJECT, STACK_NAME, STACK_NAME_RULE, Stack, files
from stacks.settings import Problem, SettingsError, exit_status, load, production_fingerprints, render, validate_files
from stacks.settings.schema import Settings
from stacks.settings.starter import starter
from stacks.settings.yaml_file import read
from toolchain.paths import ROOT


def validate(given: Sequence[Path], *, as_json: bool) -> int:
    """Print every problem of these stack files, or of all; the status is 2 if one is a mistake. Raises InputError."""
    for file in given:
        if not file.is_file():
            why = "that is no file; name the stack files in it" if file.exists() else "there is no such file"
            raise InputError(f"{file}: {why}")
    checked = list(given) or files()
    problems = validate_files(checked)
    if as_json:
        typer.echo(json.dumps([asdict(problem) for problem in problems], indent=2))
    elif problems:
        typer.echo(render(problems))
    if not as_json and exit_status(problems) == 0:
        typer.echo(f"{len(checked)} stack {'file is' if len(checked) == 1 else 'files are'} valid")
    return exit_status(problems)


def settings_of(stack: Stack) -> Settings:
    """Return the stack's settings as its file has them; secrets count as given. Raises InputError with all problems."""
    with refused():
        file = read(stack.file)
        return load(file.values, file, production=production_fingerprints(stack.file.parent))


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Turn problems of the configuration into an InputError that lists all of them."""
    try:
        yield
    except SettingsError as error:
        # What was asked for on the command line is no problem of a file.
        count = f"{_count(error.problems)}\n" if any(problem.file for problem in error.problems) else ""
        raise InputError(count + render(error.problems)) from error


def write_starter(name: str) -> Path:
    """Write a commented stack file for a new stack; one that exists is never touched. Raises InputError."""
    if not STACK_NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a stack name: {STACK_NAME_RULE}")
    file = ROOT / f"Pulumi.{name}.yaml"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise InputError(f"{file.name} exists already; choose another name or edit it") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(starter(name))
    typer.echo(f"wrote {file}; fill in its blanks, then run ./factory config validate {file.name}")
    return file


def _count(problems: Sequence[Problem]) -> str:
    return f"the configuration of project {PROJECT} has {len(problems)} problem{'s' if len(problems) > 1 else ''}:"
