"""Services on many machines appear on one gateway by their own labels, by way of Proxmox notes or of a file.

The pure half: :func:`parse` reads labels, :func:`transform` makes the gateway's, :func:`update` puts them into notes.
"""

from .args import Collisions, Mode, TransformArgs
from .findings import Finding, Level
from .labels import Container, Declared, Element, LabelModel, parse, render_labels
from .notes import Adopt, NotesError, NotesUpdate, extract, merge, render, render_block, strip, update
from .transform import Transformed, transform, transform_all

__all__ = [
    "Adopt",
    "Collisions",
    "Container",
    "Declared",
    "Element",
    "Finding",
    "LabelModel",
    "Level",
    "Mode",
    "NotesError",
    "NotesUpdate",
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
