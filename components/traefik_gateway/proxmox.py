"""What the notes of guests need of a Proxmox cluster: four calls, and what can go wrong with them.

No connection is opened here; :mod:`.proxmox_client` does that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, Protocol

__all__ = [
    "BusyError",
    "ChangedError",
    "Guest",
    "GuestKind",
    "MissingError",
    "Notes",
    "Proxmox",
    "ProxmoxError",
    "RefusedError",
    "UnreachableError",
    "failure",
    "guests_of",
    "notes_of",
    "tags_of",
]

_PERMISSION: Final = re.compile(r"Permission check failed \((?P<path>[^,()]+), (?P<privileges>[^()]+)\)")


class GuestKind(StrEnum):
    """Kinds of guests; the notes of both are the same field (TPX-122)."""

    QEMU = "qemu"
    LXC = "lxc"


@dataclass(frozen=True, slots=True)
class Guest:
    """A virtual machine or a container, as the cluster lists it."""

    vmid: int
    name: str
    node: str
    kind: GuestKind
    running: bool = True
    template: bool = False
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} (VMID {self.vmid})"


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of a guest, decoded by the API already (TPX-124), and the digest that guards a change of them."""

    text: str
    digest: str


class Proxmox(Protocol):
    """A cluster. Every call may raise :class:`ProxmoxError`."""

    def guests(self) -> list[Guest]:
        """List every guest that the token may see."""

    def notes(self, guest: Guest) -> Notes:
        """Read the notes of a guest."""

    def write_notes(self, guest: Guest, text: str, digest: str) -> None:
        """Replace the notes, or delete them if the text is empty, unless the guest changed since ``digest``."""


class ProxmoxError(Exception):
    """A call failed: one sentence with what to do, without secrets (TPX-119)."""


class RefusedError(ProxmoxError):
    """The token is wrong, or a privilege is missing."""


class MissingError(ProxmoxError):
    """There is no such guest on that node."""


class BusyError(ProxmoxError):
    """The guest is locked, for example by a backup; later it will not be (TPX-227)."""


class ChangedError(ProxmoxError):
    """Somebody else changed the guest since it was read (TPX-120)."""


class UnreachableError(ProxmoxError):
    """The cluster, or the guest's node, gave no usable answer. What is there is therefore not known."""


_MEANINGS: Final[tuple[tuple[frozenset[int], str, type[ProxmoxError], str], ...]] = (
    (frozenset({401}), "", RefusedError, "the token is wrong or has expired, set a valid one"),
    # What a proxy answers, and a node which cannot reach another node.
    (frozenset({408, 502, 503, 504, *range(595, 600)}), "", UnreachableError, "is the node up?"),
    (
        frozenset(),
        "modified configuration|checksum mismatch",
        ChangedError,
        "somebody else changed the guest meanwhile",
    ),
    (frozenset(), "quorum", UnreachableError, "the cluster accepts no changes, bring its nodes back"),
    (frozenset(), "does not exist", MissingError, "is the VMID right?"),
    (frozenset(), "locked|can't lock", BusyError, "run again when that has ended, or release it with `qm unlock`"),
)
"""What an answer means, by its status (none: any) and its words; and what to do (TPX-119)."""


def failure(status: int, message: str, details: object, where: str) -> ProxmoxError:
    """Give the error which an answer means: ``message`` is its reason phrase, ``where`` names what was asked.

    ``details`` are the messages for single fields, if there are any.
    """
    said = " ".join(message.split()) or "no reason given"
    if isinstance(details, Mapping) and details:
        said += " (" + "; ".join(f"{name}: {' '.join(str(text).split())}" for name, text in details.items()) + ")"
    if status == HTTPStatus.FORBIDDEN:
        return RefusedError(f"{where}: {_missing_privilege(said)}")
    for statuses, words, error, advice in _MEANINGS:
        if (not statuses or status in statuses) and re.search(words, said, re.IGNORECASE):
            return error(f"{where}: {status} {said}: {advice}")
    return ProxmoxError(f"{where}: {status} {said}")


def guests_of(answer: object, where: str) -> list[Guest]:
    """Read the answer of ``GET /cluster/resources?type=vm``, sorted by VMID. Raises UnreachableError if it is none."""
    if not isinstance(answer, list):
        raise _unusable(where)
    found = [_guest(item, where) for item in answer if _is_guest(item)]
    return sorted(found, key=lambda guest: guest.vmid)


def notes_of(answer: object, where: str) -> Notes:
    """Read the answer of ``GET .../config``.

    An answer that was cut off must not look like empty notes, so one without a digest is none: UnreachableError.
    """
    if not isinstance(answer, Mapping) or not isinstance(answer.get("digest"), str):
        raise _unusable(where)
    text = answer.get("description", "")
    if not isinstance(text, str):
        raise _unusable(where)
    return Notes(text, answer["digest"])


def tags_of(text: object) -> tuple[str, ...]:
    """Split a list of tags into whole elements, as Proxmox separates them (TPX-28)."""
    return tuple(tag for tag in re.split(r"[;,\s]+", str(text or "")) if tag)


def _is_guest(item: object) -> bool:
    return isinstance(item, Mapping) and item.get("type") in list(GuestKind)


def _guest(item: Mapping[str, Any], where: str) -> Guest:
    try:
        vmid, template = int(item["vmid"]), bool(int(item.get("template") or 0))
    except (KeyError, TypeError, ValueError):
        raise _unusable(where) from None
    if not item.get("node"):
        raise _unusable(where)
    return Guest(
        vmid=vmid,
        name=str(item.get("name") or f"guest-{item['vmid']}"),
        node=str(item["node"]),
        kind=GuestKind(item["type"]),
        running=item.get("status") == "running",
        template=template,
        tags=tags_of(item.get("tags")),
    )


def _unusable(where: str) -> UnreachableError:
    return UnreachableError(f"{where}: the answer is cut off, or not one of a Proxmox API: is the endpoint right?")


def _missing_privilege(said: str) -> str:
    found = _PERMISSION.search(said)
    if found is None:
        return f"the token may not do this ({said}): grant it the privilege"
    path, privileges = found["path"], found["privileges"]
    return f"the token lacks the privilege {privileges} on {path}: grant it (docs/traefik-gateway.md)"
