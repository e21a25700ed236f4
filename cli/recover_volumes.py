"""`./factory recover volumes`: the input of a recovery, written from a dump instead of by hand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import CommandError
from cli.reporting import report

__all__ = ["volumes"]


def volumes(
    *,
    folder: Annotated[list[Path], typer.Option("--folder", help="Folder with dumps; may be given several times.")],
    claim: Annotated[
        list[str] | None, typer.Option("--claim", help="NAMESPACE/NAME; all of Longhorn's without.")
    ] = None,
    before: Annotated[str, typer.Option("--before", help="A dump from before this time, RFC 3339.")] = "",
) -> None:
    """Print the `longhorn_recovery_volumes` of a dump, to be kept in a file, looked at and completed."""
    import yaml  # noqa: PLC0415 - `--help` stays instant

    from components.longhorn.flow.dump import DumpError  # noqa: PLC0415 - likewise
    from components.longhorn.flow.dump_store import select  # noqa: PLC0415 - likewise
    from components.longhorn.flow.from_dump import described_volumes  # noqa: PLC0415 - likewise

    try:
        chosen = select(folder, time.time(), before=before)
        found, notes = described_volumes(chosen.dump, claim or ())
    except (DumpError, ValueError) as error:
        raise CommandError(str(error)) from error
    report(f"from {chosen.path}")
    for note in notes:
        report(note)
    entries = [item.model_dump(mode="json", exclude_defaults=True) for item in found]
    typer.echo(yaml.safe_dump({"longhorn_recovery_volumes": entries}, sort_keys=False), nl=False)
