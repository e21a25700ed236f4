"""Where an image must never be written (INV-001, MRG-020)."""

from __future__ import annotations

import stat
from pathlib import Path

from .directory import looks_like_replica
from .errors import BadInputError, RefusedError
from .replica import Replica

REPLICAS = "replicas"
"""Longhorn keeps the replicas of a disk in a directory of this name."""


def refuse_output(replica: Replica, output: Path, *, to_device: bool) -> None:
    """Refuse an output that would change a replica, or is not what it seems. Raises BadInputError, RefusedError."""
    folder = output.parent
    if not folder.is_dir():
        raise BadInputError("no-folder", f"{folder} is not a directory; make it first")
    _refuse_kind(output, to_device=to_device)
    real, source = folder.resolve(), replica.path.resolve()
    forbidden = {source}
    if source.parent.name == REPLICAS:
        forbidden.add(source.parent)
    inside = next((place for place in (real, *real.parents) if place in forbidden), None)
    if inside is None and looks_like_replica([entry.name for entry in real.iterdir()]):
        inside = real
    if inside is not None:
        raise RefusedError("output-in-replica", f"{output} lies in {inside}, where nothing may be written")


def _refuse_kind(output: Path, *, to_device: bool) -> None:
    try:
        mode = output.lstat().st_mode
    except FileNotFoundError:
        if to_device:
            raise BadInputError("not-a-device", f"{output} does not exist") from None
        return
    if to_device:
        return
    if stat.S_ISBLK(output.stat().st_mode if output.exists() else mode):
        raise BadInputError("is-a-device", f"{output} is a block device; --to-device writes to it")
    if not stat.S_ISREG(mode):
        raise BadInputError("not-a-file", f"{output} exists and is no regular file")
