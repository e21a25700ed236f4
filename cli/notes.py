"""`./factory notes`: labels of containers, notes of guests, and what a gateway makes of both; nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import JsonOption

app = typer.Typer(help="Routes of a gateway that reads the notes of Proxmox guests.", no_args_is_help=True)

LabelsOption = Annotated[
    Path, typer.Option("--labels", metavar="FILE", help="JSON list of containers: name, labels, state; `-` for input.")
]
ModeOption = Annotated[str, typer.Option("--mode", help="`passthrough` or `filter`.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of the gateway's labels (docs/traefik-gateway.md)."),
]
IdOption = Annotated[str, typer.Option("--id", help="The name of the block in the notes.")]
GuestsArgument = Annotated[
    list[Path], typer.Argument(help="JSON lists of guests (*.json), or one guest's notes as a text each.")
]
VersionOption = Annotated[str | None, typer.Option("--plugin", metavar="VERSION", help="Version of the plugin.")]


@app.command()
def render(
    labels: LabelsOption,
    mode: ModeOption = "passthrough",
    settings: SetOption = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Print a file for Traefik's file provider; the machine's address.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the labels that a gateway gets for the containers of one machine."""
    from cli import gateway_notes

    raise typer.Exit(gateway_notes.render(labels, mode, settings or [], address, as_json=as_json))


@app.command()
def merge(
    *,
    labels: LabelsOption,
    notes: Annotated[Path, typer.Option("--notes", metavar="FILE", help="The guest's notes; `-` for input.")],
    mode: ModeOption = "passthrough",
    settings: SetOption = None,
    block: IdOption = "gateway",
    adopt: Annotated[
        str, typer.Option("--adopt", help="Label lines outside the block: `refuse`, `same` or `all`.")
    ] = "refuse",
    as_json: JsonOption = False,
) -> None:
    """Print notes with the block of labels put in; all other text stays as it is."""
    from cli import gateway_notes

    raise typer.Exit(
        gateway_notes.merge(labels, notes, mode, settings or [], block=block, adopt=adopt, as_json=as_json)
    )


@app.command()
def lint(
    guests: GuestsArgument, plugin: VersionOption = None, block: IdOption = "", as_json: JsonOption = False
) -> None:
    """Tell what in the notes of all guests of one gateway will not do what it seems to."""
    from cli import gateway_notes

    raise typer.Exit(gateway_notes.lint(guests, plugin, block, as_json=as_json))


@app.command()
def predict(
    guests: GuestsArgument,
    plugin: VersionOption = None,
    block: IdOption = "",
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page of all routes.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the routes and services that a gateway makes of the notes of all guests."""
    from cli import gateway_notes

    raise typer.Exit(gateway_notes.predict(guests, plugin, block, html, as_json=as_json))


@app.command()
def discover(
    host: Annotated[str | None, typer.Argument(metavar="[USER@]HOST[:PORT]", help="A machine; none: this one.")] = None,
    host_key: Annotated[str | None, typer.Option("--host-key", help="Its public key: `ssh-ed25519 AAAA...`.")] = None,
    inspection: Annotated[
        str | None, typer.Option("--inspection", metavar="PROGRAM", help="Program there that prints its containers.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a machine for its running containers; the JSON is what --labels reads."""
    from cli import gateway_notes

    raise typer.Exit(gateway_notes.find_containers(host, host_key, inspection, as_json=as_json))
