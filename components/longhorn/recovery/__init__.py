"""Volumes from Longhorn's replica directories, without a cluster, without root, with the standard library only.

Nothing in this package writes inside a replica directory. It imports nothing from outside itself, so it runs from any
folder and as the single file `longhorn-recover.pyz`, on Python 3.9 and later.
"""

from .directory import read_replica
from .errors import BadInputError, CancelledError, DamagedError, RecoveryError, RefusedError, Status
from .findings import RULES, Finding, Severity, Verdict
from .inspection import inspect
from .manifest import manifest_path, read_manifest
from .merge import MergeOptions, MergeResult, merge
from .metadata import BLOCK, LayerMeta, MetadataError, VolumeMeta
from .observer import Observer, Progress
from .readback import digest_of_file
from .replica import Chain, Layer, Replica
from .volume import Mode, Volume, open_volume

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
    "MergeOptions",
    "MergeResult",
    "MetadataError",
    "Mode",
    "Observer",
    "Progress",
    "RecoveryError",
    "RefusedError",
    "Replica",
    "Severity",
    "Status",
    "Verdict",
    "Volume",
    "VolumeMeta",
    "digest_of_file",
    "inspect",
    "manifest_path",
    "merge",
    "open_volume",
    "read_manifest",
    "read_replica",
]
