"""What `./factory cm5` does with the home-automation gateway of a stack: its data, its end, and what comes after it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import typer

from cli import engine, lifecycle
from cli.errors import CommandError, InputError
from cli.exclusive import alone
from cli.machine_access import login_of, login_secrets, settings_with_machines
from cli.protection import refuse_under_others
from cli.session import Report
from cli.stack import Stack
from components.cm5_gateway import Gateway
from components.cm5_gateway.archive import ArchiveRefusedError, Device, digest_file
from components.cm5_gateway.keep import described, kept
from components.host.transport import HostError
from components.host.transport_ssh import SshTransport
from stacks.settings.needs import CM5_GATEWAY
from stacks.settings.sections import SECTIONS

__all__ = ["backup", "prepare", "restore", "uninstall"]

_Result = TypeVar("_Result")
_MEBIBYTE = 1024**2


def backup(stack: Stack, file: Path, report: Report) -> None:
    """Write data and keys to a new file. Raises InputError and CommandError; then there is no new file."""
    site = _Site.of(stack, report)
    with alone(stack.name):
        _saved(site, file)


def restore(stack: Stack, file: Path, *, stop: bool, other_gateway: bool, report: Report) -> None:
    """Put data and keys of a backup back. Raises InputError and CommandError; it can then be run again."""
    site = _Site.of(stack, report)
    with alone(stack.name):
        done = site.ask(lambda device: device.restore(file, stop=stop, other_gateway=other_gateway))
    for path in done["restored"]:
        typer.echo(f"restored {path}")
    for path in done["skipped"]:
        report(f"left out {path}: no part of this gateway keeps it")
    report(
        f"started again: {', '.join(done['held'])}" if done["held"] else "no container ran; `./factory up` starts them"
    )


def prepare(stack: Stack, folder: Path, *, confirm: str, report: Report) -> None:
    """Leave the device at rest for another system: no container, a backup, its description (CM5-259).

    Raises InputError and CommandError; without a backup the containers may be stopped already, which is told.
    """
    site = _Site.of(stack, report)
    _confirmed(site.gateway, confirm, "the containers are stopped and removed; data, disk and system stay as they are")
    description = folder / f"{site.gateway.product}.json"
    archive = description.with_suffix(".tar.gz")
    for file in (description, archive, digest_file(archive)):
        if file.exists():
            raise InputError(f"{file} exists already: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with alone(stack.name):
        # First: what a container wrote after the backup would be lost to the other system.
        site.ask(Device.down)
        report("the containers are stopped; `./factory up` would start them again")
        _saved(site, archive)
    description.write_text(json.dumps(described(site.gateway), indent=2) + "\n", "utf-8")
    typer.echo(f"wrote {description}")


def uninstall(stack: Stack, *, confirm: str, erase_disk: str | None, report: Report) -> int:
    """Remove what this program made on the device; the data stays unless its disk is named (CM5-258, CM5-260).

    Returns the engine's exit status. Raises InputError without the confirmation, and CommandError where another run
    changes the stack or something else needs the gateway; then nothing was changed.
    """
    site = _Site.of(stack, report)
    storage = site.gateway.args.storage
    data = "is erased" if erase_disk else f"stays: {', '.join(kept(site.gateway))}"
    _confirmed(
        site.gateway, confirm, f"containers, services, files and settings of the device are removed; data {data}"
    )
    if erase_disk and storage is None:
        raise InputError("--erase-disk: this gateway has no disk of its own (factory:cm5_gateway.storage)")
    with lifecycle.changing(stack, report, only=CM5_GATEWAY) as ready:
        refuse_under_others(ready.resources, stack.name, ready.patterns(CM5_GATEWAY), [])
        if erase_disk and storage:
            device_path = storage.device
            site.ask(lambda device: device.erase(device_path, erase_disk, only_look=True))
        if status := lifecycle.renew_credentials(ready, CM5_GATEWAY, [], report):
            return status
        if site.ask(Device.down):
            report("the containers are stopped and removed")
        _lift_protection(ready)
        status = lifecycle.remove(ready, CM5_GATEWAY, [], report)
        if status == 0 and erase_disk and storage:
            site.ask(lambda device: device.erase(device_path, erase_disk, only_look=False))
            report(f"{device_path} is empty")
    return status


class _Site:
    """The gateway of a stack, and how it is reached."""

    def __init__(self, gateway: Gateway, secrets: dict[str, str]) -> None:
        self.gateway = gateway
        self._secrets = secrets

    @classmethod
    def of(cls, stack: Stack, report: Report) -> _Site:
        """Read the stack. Raises InputError where it has no gateway."""
        settings = settings_with_machines(stack)
        if settings.cm5_gateway is None:
            raise InputError(f"stack {stack.name!r} has no gateway: describe it as factory:{CM5_GATEWAY}")
        secrets = login_secrets(stack, settings, [CM5_GATEWAY], report)
        return cls(Gateway.of(settings.cm5_gateway), dict(secrets.get(CM5_GATEWAY, {})))

    def ask(self, work: Callable[[Device], Awaitable[_Result]]) -> _Result:
        """Do something with the device. Raises CommandError."""

        async def connected() -> _Result:
            transport = SshTransport(self.gateway.connection, login_of(self._secrets))
            try:
                return await work(Device(self.gateway, transport, sudo_password=self._secrets.get("sudo_password")))
            finally:
                await transport.close()

        try:
            return asyncio.run(connected())
        except (HostError, ArchiveRefusedError) as error:
            raise CommandError(str(error)) from None


def _saved(site: _Site, file: Path) -> None:
    created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    done: dict[str, Any] = site.ask(lambda device: device.backup(file, created))
    for path in done["manifest"]["paths"]:
        typer.echo(f"saved {path}")
    typer.echo(
        f"wrote {file} ({done['size'] / _MEBIBYTE:.1f} MiB) and {digest_file(file)}; both hold keys: keep them safe"
    )


def _confirmed(gateway: Gateway, given: str, what: str) -> None:
    if given != gateway.product:
        place = gateway.connection.place
        raise InputError(f"{place}: {what}. Nothing was changed: to go on, give --confirm {gateway.product}")


def _lift_protection(ready: lifecycle.Ready) -> None:
    """Let the engine remove disk and authority, whose removal was confirmed; `up` would protect them again."""
    for one in ready.resources:
        if one.get("protect") and f"::{SECTIONS[CM5_GATEWAY]}$" in one["urn"]:
            unprotect = ["state", "unprotect", one["urn"], "--yes", "--stack", ready.session.stack.name]
            engine.capture(ready.session, unprotect)
