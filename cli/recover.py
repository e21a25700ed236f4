"""`./factory recover`: the recovery library's own commands, and what needs the rest of the program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.recover_flow import plan, run
from cli.recover_objects import dump, restore, volumes
from cli.recover_plane import climb, diagnose, teardown
from cli.reporting import report

app = typer.Typer(help="Get volumes back from Longhorn's replica directories.", no_args_is_help=True)

# The library parses its own arguments, `--help` too: the single file on a node has the very same commands.
_FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_COMMANDS = {
    "scan": "Find, judge and rank every replica directory below some folders.",
    "merge": "Make an image of a replica directory.",
    "compare": "Tell which replica directories of one volume agree, and where they differ.",
    "verify": "Check an image: its manifest, file systems, journal, fsck -n.",
    "list": "List the files of an image without mounting it.",
    "extract": "Copy files out of an image without mounting it, without root.",
    "codes": "Explain the codes of findings.",
}


def _forward(context: typer.Context) -> None:
    from components.longhorn.recovery.command_line import main  # noqa: PLC0415 - `--help` of the others stays instant

    raise typer.Exit(main([context.info_name or "", *context.args], prog="factory recover"))


for _name, _help in _COMMANDS.items():
    app.command(_name, help=_help, context_settings=_FORWARD)(_forward)


@app.command("single-file")
def single_file(
    output: Annotated[Path, typer.Argument(help="The file to write.")] = Path("longhorn-recover.pyz"),
) -> None:
    """Write the library as one file that any Python from 3.9 on runs, for a machine with nothing else."""
    from components.longhorn.recovery.single_file import write  # noqa: PLC0415 - as above

    write(output)
    report(f"wrote {output}; `python3 {output} --help` tells what it can")


for _command in (volumes, plan, run, diagnose, climb, teardown, dump, restore):
    app.command()(_command)
