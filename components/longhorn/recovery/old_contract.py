"""The described lab's merge tool, kept as a command with the same arguments and output (MRG-001..008).

Same contract, not the same defects: it merges the whole chain by extents, and a failed run leaves no image.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from .directory import read_replica
from .errors import RecoveryError, Status
from .merge import MergeOptions, merge
from .observer import Observer, Progress

_MEBIBYTE = 1 << 20
_NEVER_ASKED = frozenset({"set-aside", "too-small"})
"""It took a directory of any name and size, and has no argument to accept one with; a warning says it."""
_STEP = 4096 * 4096
"""It told its progress once per so many bytes of the volume."""


def main(arguments: Sequence[str]) -> int:
    """Merge `<replica-dir>` into `<output.img>`, and return the exit status: 0 or 1."""
    if len(arguments) != 2:  # noqa: PLR2004 - the contract
        sys.stdout.write("Usage: merge-longhorn-layers.py <replica-dir> <output.img>\n")
        return 1
    source, output = Path(arguments[0]), Path(arguments[1])
    if not source.is_dir():
        sys.stderr.write(f"Not a directory: {source}\n")
        return 1
    try:
        replica = read_replica(source)
        if replica.chain:
            below = replica.chain.layers[1:]
            snapshot = str(below[0].path) if below else "none — base volume"
            _say(f"Volume size : {replica.chain.volume_size // _MEBIBYTE} MiB")
            _say(f"Snapshot    : {snapshot}")
            _say(f"Head        : {replica.chain.head.path}")
            _say(f"Output      : {output}")
        options = MergeOptions(overwrite=True, accepting=_NEVER_ASKED)
        result = merge(source, output, options, _Percentage())
    except RecoveryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for finding in result.findings if result.status is not Status.RECOVERED else ():
        sys.stderr.write(f"{finding}\n")
    _say("100% — done.")
    return 0


class _Percentage(Observer):
    def __init__(self) -> None:
        self._told = 0

    def progress(self, progress: Progress) -> None:
        if progress.phase == "copy" and progress.done - self._told >= _STEP:
            self._told = progress.done
            _say(f"{100 * progress.done // max(progress.total, 1)}%")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
