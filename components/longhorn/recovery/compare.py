"""Compares what several replica directories of one volume would give, without writing an image (MRG-025).

Only ranges that some replica owns are read, piece by piece, so memory is bounded and the time grows with the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .directory import read_replica
from .errors import BadInputError, CancelledError, DamagedError, RecoveryError, Status
from .findings import Finding
from .image_affected import Affected, affected_files
from .metadata import BLOCK
from .observer import Observer, Progress
from .replica import Replica
from .union import Segment, segments
from .volume import Mode, ReadFailedError, Volume, chunks, open_volume

LISTED = 10_000
"""At most so many differing ranges are kept one by one; all are counted."""


@dataclass(frozen=True)
class Difference:
    """Bytes that are not the same in all replicas.

    `groups` numbers the contents: replicas with the same number agree. `layers` names the file that each replica has
    them from; empty where it has nothing there, which reads as zeros.
    """

    offset: int
    length: int
    groups: tuple[int, ...]
    layers: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"offset": self.offset, "length": self.length, "groups": list(self.groups), "layers": list(self.layers)}


@dataclass(frozen=True)
class Comparison:
    """What a comparison found. `differing` and `compared` are bytes; `affected` is of each replica in turn.

    `agreeing` has the numbers of the replicas in groups: whoever is in one group gives the same image.
    """

    replicas: tuple[Replica, ...]
    size: int
    compared: int
    differing: int
    ranges: int
    agreeing: tuple[tuple[int, ...], ...]
    differences: tuple[Difference, ...]
    affected: tuple[Affected, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> Status:
        """RECOVERED when all are the same."""
        return Status.WARNINGS if self.differing or self.findings else Status.RECOVERED

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "status": self.status.name.lower(),
            "replicas": [str(replica.path) for replica in self.replicas],
            "size": self.size,
            "compared": self.compared,
            "differing": self.differing,
            "ranges": self.ranges,
            "agreeing": [list(group) for group in self.agreeing],
            "differences": [difference.as_dict() for difference in self.differences],
            "affected": [dict(vars(affected)) for affected in self.affected],
            "findings": [finding.as_dict() for finding in self.findings],
        }


def compare(
    paths: Sequence[Path],
    *,
    mode: Mode = Mode.EXTENTS,
    accepting: frozenset[str] = frozenset(),
    observer: Observer | None = None,
) -> Comparison:
    """Compare two or more replica directories. Raises BadInputError, DamagedError, RecoveryError, CancelledError."""
    if len(paths) < 2:  # noqa: PLR2004 - one has nothing to be compared with
        raise BadInputError("too-few", "two or more replica directories are compared")
    replicas = [read_replica(path, accepting=accepting) for path in paths]
    for replica in replicas:
        if replica.chain is None:
            raise DamagedError("no-chain", f"{replica.path}: {'; '.join(replica.reasons()) or 'no replica directory'}")
    findings = _differing_sizes(replicas)
    try:
        with ExitStack() as opened:
            volumes = [opened.enter_context(closing(open_volume(r.chain, mode))) for r in replicas if r.chain]
            work = _Work(replicas, volumes, observer or Observer())
            work.run()
            affected = work.affected()
    except ReadFailedError as error:
        raise RecoveryError("read-failed", f"{error.length} bytes at {error.offset}: {error.strerror}") from error
    except OSError as error:
        raise RecoveryError("read-failed", f"{error.filename or 'a layer'}: {error.strerror}") from error
    return Comparison(
        tuple(replicas),
        work.size,
        work.compared,
        work.differing,
        work.count,
        work.agreeing,
        tuple(work.kept),
        affected,
        findings,
    )


def _differing_sizes(replicas: Sequence[Replica]) -> tuple[Finding, ...]:
    sizes = {replica.chain.volume_size for replica in replicas if replica.chain}
    if len(sizes) == 1:
        return ()
    shown = ", ".join(f"{replica.name}: {replica.chain.volume_size}" for replica in replicas if replica.chain)
    return (Finding("sizes-differ", f"the volume has different sizes: {shown}"),)


@dataclass
class _Work:
    replicas: Sequence[Replica]
    volumes: Sequence[Volume]
    observer: Observer
    compared: int = 0
    differing: int = 0
    count: int = 0
    kept: list[Difference] = field(default_factory=list)
    last: Difference | None = None
    patterns: set[tuple[int, ...]] = field(default_factory=set)

    @property
    def agreeing(self) -> tuple[tuple[int, ...], ...]:
        """Group the replicas that agree wherever some differ."""
        groups: dict[tuple[int, ...], list[int]] = {}
        patterns = sorted(self.patterns)
        for index in range(len(self.replicas)):
            groups.setdefault(tuple(pattern[index] for pattern in patterns), []).append(index)
        return tuple(map(tuple, groups.values()))

    @property
    def size(self) -> int:
        return max(volume.size for volume in self.volumes)

    def run(self) -> None:
        for begin, end in chunks(self._owned_by_any()):
            if self.observer.cancelled():
                raise CancelledError("cancelled", f"stopped at {begin} of {self.size} bytes")
            contents = [_padded(volume.read(begin, end - begin), end - begin) for volume in self.volumes]
            self.compared += end - begin
            if any(content != contents[0] for content in contents[1:]):
                self._refine(begin, contents)
            self.observer.progress(Progress("compare", self.compared, self.size, end))
        self._keep()

    def affected(self) -> tuple[Affected, ...]:
        """Name the files that the kept ranges belong to, in each replica's own file system."""
        if not self.kept:
            return ()
        ranges = [(difference.offset, difference.length) for difference in self.kept]
        return tuple(affected_files(volume.read, volume.size, ranges) for volume in self.volumes)

    def _owned_by_any(self) -> Iterator[tuple[int, int]]:
        maps = [((segment.start, segment.end) for segment in volume.segments()) for volume in self.volumes]
        current: Segment | None = None
        for segment in segments(maps, self.size):
            if current and segment.start == current.end:
                current = Segment(current.start, segment.end, ())
                continue
            if current:
                yield current.start, current.end
            current = segment
        if current:
            yield current.start, current.end

    def _refine(self, begin: int, contents: Sequence[bytes]) -> None:
        for at in range(0, len(contents[0]), BLOCK):
            blocks = [content[at : at + BLOCK] for content in contents]
            if all(block == blocks[0] for block in blocks[1:]):
                continue
            kinds: dict[bytes, int] = {}
            groups = tuple(kinds.setdefault(block, len(kinds)) for block in blocks)
            layers = tuple(self._layer(index, begin + at) for index in range(len(blocks)))
            self._add(Difference(begin + at, BLOCK, groups, layers))

    def _layer(self, index: int, offset: int) -> str:
        chain, owner = self.replicas[index].chain, self.volumes[index].owner(offset)
        return chain.layers[owner].name if chain and owner is not None else ""

    def _add(self, found: Difference) -> None:
        self.differing += found.length
        self.patterns.add(found.groups)
        last = self.last
        if last and (last.offset + last.length, last.groups, last.layers) == (found.offset, found.groups, found.layers):
            self.last = Difference(last.offset, last.length + found.length, last.groups, last.layers)
        else:
            self._keep()
            self.last = found

    def _keep(self) -> None:
        if self.last is not None:
            self.count += 1
            if len(self.kept) < LISTED:
                self.kept.append(self.last)
        self.last = None


def _padded(content: bytes, length: int) -> bytes:
    return content + bytes(length - len(content))
