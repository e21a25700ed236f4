"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["JsonOption", "StackOption"]

StackOption = Annotated[
    str | None,
    typer.Option("--stack", "-s", help="The stack; else PULUMI_STACK, else the selected one, else `sandbox`."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
