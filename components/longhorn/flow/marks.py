"""What the flow leaves on objects, so that a later run, even from another machine, knows what an earlier one did.

They are the journal on the cluster (DRV-003): written in the same request as the change they describe.
"""

from __future__ import annotations

import uuid
from typing import Final

from .interfaces import Document

__all__ = [
    "COMPLETE",
    "REPLICAS",
    "SELF_HEAL",
    "SOURCE",
    "TICKET",
    "device_uuid",
    "mark_of",
]

SOURCE: Final = "recovery.factory/source"
"""On a Volume: it was made by the flow, for this source (``digest node/directory``)."""
COMPLETE: Final = "recovery.factory/complete"
"""On a Volume: the data of the source with this digest is in it, and was compared."""
REPLICAS: Final = "recovery.factory/replicas"
"""On a workload: its replicas before it was stopped."""
SELF_HEAL: Final = "recovery.factory/self-heal"
"""On an Application: self-healing was on before it was paused."""
TICKET: Final = "recovery"
"""Key and id of the flow's ticket in a VolumeAttachment (LHR-100)."""

_SPACE: Final = uuid.UUID("6b1d9a52-1c0b-5f0e-9d3c-0f6a7e2b4c11")


def mark_of(document: Document | None, annotation: str) -> str:
    """Read a mark; empty when there is none."""
    metadata = (document or {}).get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(annotation, ""))


def device_uuid(pv_name: str, digest: str) -> str:
    """Return the file system id that the flow gives a device it formats for this source.

    The id is the owner's mark of DT-5: it is written with the file system itself, so no kill can come between them.
    """
    return str(uuid.uuid5(_SPACE, f"{pv_name}:{digest}"))
