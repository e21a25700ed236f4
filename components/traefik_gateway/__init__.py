"""Services on many machines appear on one gateway by their own labels, by way of Proxmox notes or of a file.

The pure half: :func:`parse` reads labels, :func:`transform` makes the gateway's, :func:`update` puts them into notes.
The resources: :class:`ProxmoxNotes` keeps the notes of a cluster, :class:`TraefikGateway` is the gateway with them.
"""

from typing import TYPE_CHECKING

from ..exports import on_demand
from .args import Collisions, Mode, TransformArgs
from .args_gateway import TraefikGatewayArgs
from .args_notes import GuestNotesArgs, ProxmoxNotesArgs
from .findings import Finding, Level
from .labels import Container, Declared, Element, LabelModel, parse, render_labels
from .notes import Adopt, NotesError, NotesUpdate, extract, merge, render, render_block, strip, update
from .transform import Transformed, transform, transform_all

if TYPE_CHECKING:
    from .component import TraefikGateway
    from .provider import ProxmoxNotes
else:
    __getattr__ = on_demand(__name__, {"ProxmoxNotes": "provider", "TraefikGateway": "component"})

__all__ = [
    "Adopt",
    "Collisions",
    "Container",
    "Declared",
    "Element",
    "Finding",
    "GuestNotesArgs",
    "LabelModel",
    "Level",
    "Mode",
    "NotesError",
    "NotesUpdate",
    "ProxmoxNotes",
    "ProxmoxNotesArgs",
    "TraefikGateway",
    "TraefikGatewayArgs",
    "TransformArgs",
    "Transformed",
    "extract",
    "merge",
    "parse",
    "render",
    "render_block",
    "render_labels",
    "strip",
    "transform",
    "transform_all",
    "update",
]
