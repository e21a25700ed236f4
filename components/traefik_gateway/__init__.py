"""Services on many machines appear on one gateway by their own labels, by way of Proxmox notes or of a file.

The pure half: :func:`parse` reads labels, :func:`transform` makes the gateway's, :func:`update` puts them into notes,
:func:`configuration` into a file; :func:`predict` tells what the gateway makes of notes.
The resources: :class:`ProxmoxNotes` keeps the notes of a cluster, :class:`TraefikGateway` is the gateway with them.
"""

from typing import TYPE_CHECKING

from ..exports import on_demand
from .args import Collisions, Mode, TransformArgs
from .args_gateway import TraefikGatewayArgs
from .args_notes import GuestNotesArgs, ProxmoxNotesArgs
from .findings import Finding, Level
from .labels import Container, Declared, Element, LabelModel, parse, render_labels
from .lint import Prediction, predict
from .notes import Adopt, NotesError, NotesUpdate, extract, merge, render, render_block, strip, update
from .plugin import Guest
from .render_file import GatewayFile, Machine, configuration, to_yaml
from .render_page import routes_page
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
    "GatewayFile",
    "Guest",
    "GuestNotesArgs",
    "LabelModel",
    "Level",
    "Machine",
    "Mode",
    "NotesError",
    "NotesUpdate",
    "Prediction",
    "ProxmoxNotes",
    "ProxmoxNotesArgs",
    "TraefikGateway",
    "TraefikGatewayArgs",
    "TransformArgs",
    "Transformed",
    "configuration",
    "extract",
    "merge",
    "parse",
    "predict",
    "render",
    "render_block",
    "render_labels",
    "routes_page",
    "strip",
    "to_yaml",
    "transform",
    "transform_all",
    "update",
]
