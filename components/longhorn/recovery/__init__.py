"""Volumes from Longhorn's replica directories, without a cluster, without root, with the standard library only.

Nothing in this package writes inside a replica directory. It imports nothing from outside itself, so it runs from any
folder and as the single file `longhorn-recover.pyz`, on Python 3.9 and later.
"""

from .errors import BadInputError, CancelledError, DamagedError, RecoveryError, RefusedError, Status
from .findings import RULES, Finding, Severity, Verdict
from .metadata import BLOCK, LayerMeta, MetadataError, VolumeMeta
from .replica import Chain, Layer, Replica

__all__ = [
    "BLOCK",
    "RULES",
    "BadInputError",
    "CancelledError",
    "Chain",
    "DamagedError",
    "Finding",
    "Layer",
    "LayerMeta",
    "MetadataError",
    "RecoveryError",
    "RefusedError",
    "Replica",
    "Severity",
    "Status",
    "Verdict",
    "VolumeMeta",
]
