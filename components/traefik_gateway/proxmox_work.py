"""Finding out and carrying out: the machines and the cluster behind a plan. Only the provider imports this."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..host.remote_host import RemoteHost
from ..host.transport import Transport
from ..host.transport_ssh import Login, SshTransport
from .args_notes import GuestNotesArgs, ProxmoxNotesArgs
from .discovery import DiscoveryError, discover, discover_all
from .labels import Container
from .notes import update
from .proxmox import Guest, MissingError, Proxmox, ProxmoxError
from .proxmox_client import ProxmoxClient
from .proxmox_notes import change_notes, side_by_side
from .proxmox_plan import Found, Labels, block_hash, new_notes, standing

__all__ = ["Login", "PartlyFailedError", "Work"]

Api = Callable[[ProxmoxNotesArgs, str], AbstractContextManager[Proxmox]]
Connect = Callable[[RemoteHost, Login], Transport]
_Result = dict[str, Any] | None
_Task = Callable[[], _Result]


class PartlyFailedError(Exception):
    """Some guests could not be brought up to date; all others were."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work for one resource. What opens connections can be replaced."""

    args: ProxmoxNotesArgs
    token_secret: str
    login: Login = field(default_factory=Login)
    api: Api = ProxmoxClient
    connect: Connect = SshTransport
    tell: Callable[[str], object] = lambda _line: None
    """Takes a line about each guest that is asked, and about each that was written."""

    def find_out(self) -> Found:
        """Ask the cluster and the machines as far as they answer; none of them stops a plan (TPX-255)."""
        try:
            with self.api(self.args, self.token_secret) as api:
                guests = api.guests()
                containers = self._containers(standing(self.args, guests).asked)
                notes, failed = _all_notes(api, guests)
        except ProxmoxError as error:
            said = f"{error}; the plan does not show what the gateway makes of the notes"
            return Found(None, self._containers(tuple(self.args.guests)), warnings=(said,))
        return Found(guests, containers, notes, tuple(failed))

    def look(self) -> Found:
        """Ask the cluster alone. Raises ProxmoxError."""
        with self.api(self.args, self.token_secret) as api:
            guests = api.guests()
            notes, failed = _all_notes(api, guests)
        return Found(guests, {}, notes, tuple(failed))

    def write(
        self,
        labels: Mapping[str, Labels],
        problems: Mapping[str, Sequence[str]],
        *,
        former: Mapping[str, int],
        former_block: str,
    ) -> dict[str, dict[str, Any]]:
        """Bring the notes of the guests up to date, and take the block out of those that are not described any more.

        ``former`` are the guests of the run before, by number, and ``former_block`` the name of the block then.
        Returns what became of each guest. Raises PartlyFailedError after everything that could be done, ProxmoxError if
        the cluster does not answer at all.
        """
        kept = {guest.vmid for guest in self.args.guests.values()}
        with self.api(self.args, self.token_secret) as api:
            guests = {guest.vmid: guest for guest in api.guests()}
            tasks: dict[str, _Task] = {
                name: partial(self._update, api, guests, name, labels[name], former_block) for name in labels
            }
            tasks |= {
                f"{name} (no longer described)": partial(_clear, api, guests.get(vmid), former_block)
                for name, vmid in former.items()
                if vmid not in kept
            }
            done = _carried_out(tasks, problems)
        return {name: one for name, one in done.items() if one is not None}

    def remove(self, guests: Mapping[str, int]) -> None:
        """Take the block out of the notes of these guests (TPX-135); one that is gone needs nothing.

        Raises as `write`.
        """
        with self.api(self.args, self.token_secret) as api:
            there = {guest.vmid: guest for guest in api.guests()}
            tasks = {name: partial(_clear, api, there.get(vmid), self.args.block) for name, vmid in guests.items()}
            _carried_out(tasks, {})

    def _update(
        self, api: Proxmox, guests: Mapping[int, Guest], name: str, labels: Labels, former_block: str
    ) -> dict[str, Any]:
        vmid = self.args.guests[name].vmid
        guest = guests.get(vmid)
        if guest is None:
            message = f"there is no guest with VMID {vmid} that the token may see (VM.Audit)"
            raise MissingError(message)
        done = change_notes(
            api, guest, lambda text: new_notes(self.args, name, labels, text, former_block=former_block)
        )
        if done.changed:
            self.tell(f"Updated Proxmox notes for {name} (VMID {vmid}) with {len(labels)} Traefik labels")
        return {
            "vmid": vmid,
            "node": guest.node,
            "type": guest.kind.value,
            "labels": len(labels),
            "length": len(done.text),
            "block": block_hash(done.text, self.args.block),
        }

    def _containers(self, names: Sequence[str]) -> dict[str, list[Container] | DiscoveryError]:
        described = {name: self.args.guests[name] for name in names}
        for name, guest in described.items():
            if guest.host is not None:
                self.tell(f"Starting Traefik labels discovery on {name} (VMID {guest.vmid})")
        return asyncio.run(discover_all(described, self._ask))

    async def _ask(self, guest: GuestNotesArgs) -> list[Container]:
        if guest.host is None:
            return [Container(name, labels) for name, labels in (guest.containers or {}).items()]
        transport = self.connect(guest.host, self.login)
        try:
            return await discover(transport, guest.inspection)
        finally:
            await transport.close()


def _all_notes(api: Proxmox, guests: Sequence[Guest]) -> tuple[dict[int, str], list[str]]:
    """Read the notes of all guests that the gateway reads (TPX-259)."""
    running = {str(guest): guest for guest in guests if guest.running and not guest.template}
    notes, failed = side_by_side(running, api.notes)
    return {running[name].vmid: one.text for name, one in notes.items()}, list(failed.values())


def _clear(api: Proxmox, guest: Guest | None, block: str) -> None:
    if guest is not None:
        try:
            change_notes(api, guest, lambda text: update(text, (), block))
        except MissingError:
            return


def _carried_out(tasks: Mapping[str, _Task], problems: Mapping[str, Sequence[str]]) -> dict[str, _Result]:
    done, failed = side_by_side(tasks, lambda task: task())
    for name, said in problems.items():
        failed.setdefault(name, "; ".join(said))
    if failed:
        listed = "; ".join(f"{name}: {said}" for name, said in sorted(failed.items()))
        others = " All others are." if done.keys() - failed.keys() else ""
        message = f"the notes of {len(failed)} guests are not up to date: {listed}.{others}"
        raise PartlyFailedError(message)
    return done
