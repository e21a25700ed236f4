"""Looks into a replica's layers: is there any data, and did a careless copy destroy what tells layers apart.

Who owns a block is recorded by the holes alone. A copy that fills holes makes the newest layer own everything; a copy
that punches zeros makes overwritten data reappear (GLK-026, GLK-027).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .errors import DamagedError
from .extents import LayerFile, LayerSource, Range
from .findings import Finding, accept
from .in_use import Users, users_of
from .metadata import BLOCK, VOLUME_META
from .replica import Layer, Replica

SMALLEST_SUSPECT = 1024 * BLOCK
"""Less data than this tells nothing about how it was copied, in bytes."""
ZEROED_LAYER = 1 << 20
"""A snapshot with this many allocated bytes, and all of them zero, was overwritten, and not written so, in bytes."""
_WINDOW = 64 * 1024
_WINDOWS = 256
_LUKS = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
_ZERO = bytes(BLOCK)


@dataclass(frozen=True)
class LayerContent:
    """What a look into a layer gave. `allocated` counts the bytes of its extents."""

    layer: Layer
    allocated: int
    full: bool
    has_data: bool = False
    has_zeros: bool = False
    complete: bool = False
    """Whether every block was looked at, or both kinds were seen."""
    tells_holes: bool = True
    failed_at: int = -1
    """Where it could not be read first, in bytes, or -1."""
    first_block: bytes | None = None
    """What it has at offset 0, if it owns that."""


def inspect(
    replica: Replica, *, deep: bool = False, accepting: Collection[str] = (), users: Users | None = None
) -> Replica:
    """Return the replica with what its content, its copying and its users add to the findings.

    It reads a sample of each layer, and a layer whole where the sample leaves open whether there is any data; `deep`
    reads every layer until that and the question of copying are decided. Without a chain there is nothing to read.
    `users` is what `users_of` saw, for those who inspect many directories.
    """
    if replica.chain is None:
        return replica
    findings: list[Finding] = []
    contents: list[LayerContent] = []
    for layer in replica.chain.layers:
        content = _look(layer, deep=deep)
        if isinstance(content, Finding):
            findings.append(content)
        else:
            contents.append(content)
    if len(contents) == len(replica.chain.layers):
        findings += _judge(contents, deep=deep)
    first = next((content.first_block for content in contents if content.first_block is not None), b"")
    if first.startswith(_LUKS) and not (replica.meta and replica.meta.encrypted):
        findings.append(Finding("encrypted", "the first block is a LUKS header"))
    findings += (users or users_of(files_of(replica))).findings(files_of(replica))
    return replica.with_findings(*accept(findings, accepting))


def files_of(replica: Replica) -> list[Path]:
    """Return the files whose use by somebody else matters."""
    return [replica.path / VOLUME_META, *(layer.path for layer in replica.chain.layers)] if replica.chain else []


def _judge(contents: list[LayerContent], *, deep: bool) -> Iterator[Finding]:
    """Find what the layers' contents say together, newest first."""
    several = len(contents) > 1
    blind = [content.layer.name for content in contents if not content.tells_holes]
    if blind:
        yield Finding("holes-unknown", "the file system reports files with holes as whole", blind[0])
        return
    for content in contents:
        if content.failed_at >= 0:
            yield Finding("read-errors", f"cannot be read near {content.failed_at}", content.layer.name)
    total = sum(content.allocated for content in contents)
    if total == 0:
        yield Finding("no-extents", f"all {len(contents)} layers are one hole")
        return
    if not any(content.has_data for content in contents):
        yield Finding("all-zero", f"{total} bytes are allocated, and all of them are zero")
        return
    for content in contents:
        zeroed = content.complete and not content.has_data and content.allocated >= ZEROED_LAYER
        if zeroed and not content.layer.is_head:
            yield Finding("layer-zeroed", f"{content.allocated} bytes, all of them zero", content.layer.name)
    for content in contents:
        if content.full and content.has_zeros and content.layer.size >= SMALLEST_SUSPECT:
            code = "holes-filled-alone" if content is contents[-1] else "holes-filled"
            yield Finding(code, "has no hole, and zeros in it", content.layer.name)
    sure = deep and all(content.complete for content in contents)
    if several and sure and total >= SMALLEST_SUSPECT and not any(content.has_zeros for content in contents):
        yield Finding("holes-punched", f"not one of {total // BLOCK} allocated blocks is zero")


def _look(layer: Layer, *, deep: bool) -> LayerContent | Finding:
    try:
        with closing(LayerFile(layer.path)) as file:
            return _content(layer, file, deep=deep)
    except OSError as error:
        return Finding("unreadable", f"cannot be read: {error.strerror}", layer.name)
    except DamagedError as error:
        return Finding(error.code, "is not a regular file", layer.name)


def _content(layer: Layer, file: LayerFile, *, deep: bool) -> LayerContent:
    if not file.tells_holes:
        return LayerContent(layer, file.size, full=True, tells_holes=False)
    allocated = sum(min(end, file.size) - start for start, end in file.extents())
    whole = deep or allocated <= _WINDOWS * _WINDOW
    kinds = _Kinds(file)
    if not whole:
        kinds.look(_sample(file.extents(), allocated))
    if whole or not kinds.data:
        whole = True
        kinds.look(_windows(file.extents()))
    first = next(file.extents(), None)
    return LayerContent(
        layer,
        allocated,
        full=allocated >= file.size,
        # What cannot be read may be data.
        has_data=kinds.data or kinds.failed >= 0,
        has_zeros=kinds.zeros,
        complete=kinds.failed < 0 and (whole or (kinds.data and kinds.zeros)),
        failed_at=kinds.failed,
        first_block=kinds.read(0, BLOCK) if first and first[0] == 0 else None,
    )


class _Kinds:
    """Whether a layer has a block with data and one that is zero, reading no more than it takes to see both."""

    def __init__(self, file: LayerSource) -> None:
        self._file = file
        self.data = False
        self.zeros = False
        self.failed = -1
        """Where it could not be read first, or -1."""

    def look(self, windows: Iterator[Range]) -> None:
        for start, end in windows:
            content = self.read(start, end)
            for offset in range(0, len(content), BLOCK):
                if content[offset : offset + BLOCK] == _ZERO:
                    self.zeros = True
                else:
                    self.data = True
                if self.data and self.zeros:
                    return

    def read(self, start: int, end: int) -> bytes:
        try:
            return self._file.read(start, min(end, self._file.size) - start)
        except OSError:
            self.failed = start if self.failed < 0 else self.failed
            return b""


def _sample(extents: Iterator[Range], allocated: int) -> Iterator[Range]:
    """Return windows that lie evenly over the allocated bytes."""
    step = max(allocated // _WINDOWS, _WINDOW)
    skip = 0
    for start, end in extents:
        offset = start + skip - skip % BLOCK
        while offset < end:
            yield offset, min(offset + _WINDOW, end)
            offset += step - step % BLOCK
        skip = offset - end


def _windows(extents: Iterator[Range]) -> Iterator[Range]:
    for start, end in extents:
        for offset in range(start, end, _WINDOW):
            yield offset, min(offset + _WINDOW, end)
