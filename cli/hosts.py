"""Machines over SSH: what a run changes on them, and the keys that they show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from cli.errors import CommandError, InputError
from cli.reporting import report
from components.host.public_key import algorithm, fingerprint
from components.host.summary import Changes, table
from toolchain.plugins.factory_host.report import REPORT_VARIABLE

_ADDRESS_RULE = "give a DNS name, an IP address or an alias of ~/.ssh/config"
_SCAN_SECONDS = 10
_PORTS = range(1, 65536)


@contextmanager
def shown_changes(arguments: Sequence[str], file: Path) -> Iterator[dict[str, str]]:
    """Give the variable that names the file to the provider plugin of an engine run; then print a line for each role.

    Nothing is printed where no host changes, nor where the result is JSON.
    """
    yield {REPORT_VARIABLE: str(file)}
    if file.exists() and not {"--json", "-j"} & set(arguments):
        for line in table(_read(file)):
            typer.echo(line)


def scan(address: str, port: int | None) -> None:
    """Print the public keys that a server shows, and their fingerprints for a check out of band.

    Raises InputError for an address or a port that is none, CommandError for a server that does not answer.
    """
    if not address.strip() or address.startswith("-"):
        raise InputError(f"{address!r} is no address: {_ADDRESS_RULE}")
    try:
        address.encode("idna")  # as the look-up does
    except UnicodeError as error:
        rule = "a part between dots has 1 to 63 characters"
        raise InputError(f"{address!r} is no address: {rule}; {_ADDRESS_RULE}") from error
    if port is not None and port not in _PORTS:
        raise InputError(f"--port {port} is no TCP port: give one from 1 to 65535")
    # Imported here: every command shows what hosts change, only this one speaks SSH.
    import asyncio  # noqa: PLC0415 - see above

    from components.host.transport import HostError  # noqa: PLC0415 - see above
    from components.host.transport_ssh import scan_host_keys  # noqa: PLC0415 - see above

    config = "~/.ssh/config"
    try:
        keys = asyncio.run(scan_host_keys(address, port=port, ssh_config=config, seconds=_SCAN_SECONDS))
    except HostError as error:
        raise CommandError(str(error)) from None
    for key in keys:
        typer.echo(key)
        report(f"{algorithm(key)} {fingerprint(key)}")
    report("compare on the machine's own console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")


def _read(file: Path) -> list[Changes]:
    """Return what was noted; the last word about a role counts. A line that was cut off is told and left out."""
    found: dict[tuple[str, str], Changes] = {}
    for line in file.read_bytes().splitlines():
        try:
            each = Changes.from_data(json.loads(line))
        except (ValueError, LookupError, TypeError):
            report(f"what a role changed is missing below: {file} was not written to its end, is that disk full?")
        else:
            found[each.host, each.role] = each
    return list(found.values())
