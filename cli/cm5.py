"""`./factory cm5`: the home-automation gateway's data and its end. It is installed and updated by `up`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import StackOption
from cli.reporting import report

app = typer.Typer(
    help="Data and end of the home-automation gateway; `up` installs and updates it.", no_args_is_help=True
)

ConfirmOption = Annotated[
    str, typer.Option("--confirm", metavar="PRODUCT", help="The gateway's product; without it nothing is done.")
]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write; its digest goes to FILE.sha256.")],
    stack: StackOption = None,
) -> None:
    """Save data and keys, verified. The containers stand still meanwhile."""
    from cli import gateway_device
    from cli import stack as stacks

    gateway_device.backup(stacks.select(stack), file, report)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="An archive of `backup`, with its digest beside it.")],
    stack: StackOption = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop containers that run, and start them afterwards.")] = False,
    other_gateway: Annotated[bool, typer.Option("--other-gateway", help="Take an archive of another gateway.")] = False,
) -> None:
    """Put data and keys back. Interrupted, it is run again and ends the same."""
    from cli import gateway_device
    from cli import stack as stacks

    gateway_device.restore(stacks.select(stack), file, stop=stop, other_gateway=other_gateway, report=report)


@app.command()
def uninstall(
    stack: StackOption = None,
    confirm: ConfirmOption = "",
    erase_disk: Annotated[
        str | None, typer.Option("--erase-disk", metavar="SERIAL", help="Erase the disk with this serial number too.")
    ] = None,
) -> None:
    """Remove what was made on the device. Its data stays unless its disk is named."""
    from cli import gateway_device
    from cli import stack as stacks

    chosen = stacks.select(stack)
    raise typer.Exit(gateway_device.uninstall(chosen, confirm=confirm, erase_disk=erase_disk, report=report))


@app.command()
def prepare(
    folder: Annotated[Path, typer.Argument(help="Where the backup and the device's description go.")],
    stack: StackOption = None,
    confirm: ConfirmOption = "",
) -> None:
    """Leave the device at rest for another system, such as NixOS: backup, description, no container."""
    from cli import gateway_device
    from cli import stack as stacks

    gateway_device.prepare(stacks.select(stack), folder, confirm=confirm, report=report)
