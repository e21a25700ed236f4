"""Which of a volume's directories to recover from: LHR phase 0, with every criterion shown (LHR-028, LHR-034, DT-4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .findings import Finding, Severity, accept
from .metadata import REPLICA_NAME
from .replica import Replica

EMPTY_DIRECTORY_KIB = 16
"""What a directory takes that Longhorn just made; a candidate takes more (LHR-023, ODF-013)."""
OF_CIRCUMSTANCES = frozenset({"set-aside", "too-small", "live", "size-unexpected", "after-incident", "head-older"})
"""Findings that are made here, and again when directories of several nodes are ranked together."""
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Circumstances:
    """What only the caller knows, and what it wants.

    `incident` is a time in seconds since 1970: directories changed later may have been opened by the new Longhorn.
    `live` holds the directory names that Replica objects refer to. `sizes` maps volumes to their expected bytes.
    `nodes` gives the order of nodes in which a tie is decided. `older_head` is how many seconds a bigger candidate's
    head may be older than another's without a warning.
    """

    incident: float | None = None
    live: frozenset[str] = frozenset()
    sizes: Mapping[str, int] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    minimum_kib: int = EMPTY_DIRECTORY_KIB
    older_head: float = 3600.0
    accepting: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Candidate:
    """A directory with its place among those of its volume; `rank` is None for a rejected one."""

    replica: Replica
    rank: int | None

    @property
    def criteria(self) -> dict[str, Any]:
        """What decided, in this order."""
        replica = self.replica
        return {
            "rebuilding": replica.meta.rebuilding if replica.meta else None,
            "chain complete": replica.chain is not None,
            "actual KiB": replica.actual // 1024,
            "newest change": replica.newest_mtime_ns / _NANOSECONDS,
            "dirty": replica.meta.dirty if replica.meta else None,
            "revision": replica.revision,
            "head changed": replica.head_mtime_ns / _NANOSECONDS,
            "layers": len(replica.chain.layers) if replica.chain else None,
            "node": replica.node,
            "name": replica.name,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"rank": self.rank, "criteria": self.criteria, **self.replica.as_dict()}


@dataclass(frozen=True)
class Ranking:
    """The directories of one volume, the best first, the rejected last."""

    volume: str
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Replica | None:
        """The best one, or None when all were rejected."""
        return next((candidate.replica for candidate in self.candidates if candidate.rank == 1), None)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "volume": self.volume,
            "chosen": str(self.chosen.path) if self.chosen else None,
            "candidates": [candidate.as_dict() for candidate in self.candidates],
        }


def rank(replicas: Iterable[Replica], circumstances: Circumstances | None = None) -> tuple[Ranking, ...]:
    """Rank the directories of each volume. Directories of no known volume come under the empty name."""
    known = circumstances or Circumstances()
    volumes: dict[str, list[Replica]] = {}
    for replica in replicas:
        volumes.setdefault(replica.volume, []).append(judge(replica, known))
    return tuple(_ranking(volume, found, known) for volume, found in sorted(volumes.items()))


def judge(replica: Replica, known: Circumstances) -> Replica:
    """Add what name, size and circumstances say against a directory; a merge asks the same as a scan (LHR-032, 033)."""
    found: list[Finding] = []
    if not REPLICA_NAME.fullmatch(replica.name):
        found.append(Finding("set-aside", f"the name {replica.name!r} is not <volume>-<8 hex digits>"))
    listed = not any(finding.code == "unreadable" and not finding.file for finding in replica.findings)
    if listed and replica.actual // 1024 <= known.minimum_kib:
        found.append(
            Finding("too-small", f"takes {replica.actual // 1024} KiB; more than {known.minimum_kib} are expected")
        )
    if replica.name in known.live:
        found.append(Finding("live", "a Replica object names it as its dataDirectoryName"))
    expected = known.sizes.get(replica.volume)
    if expected is not None and replica.chain and replica.chain.volume_size != expected:
        found.append(Finding("size-unexpected", f"Size is {replica.chain.volume_size}, and {expected} was expected"))
    if known.incident is not None and replica.newest_mtime_ns > known.incident * _NANOSECONDS:
        late = replica.newest_mtime_ns / _NANOSECONDS - known.incident
        found.append(Finding("after-incident", f"was changed {late:.0f} s after the incident"))
    return replica.with_findings(*accept(found, known.accepting))


def _ranking(volume: str, replicas: list[Replica], known: Circumstances) -> Ranking:
    order = {node: place for place, node in enumerate(known.nodes)}

    def key(replica: Replica) -> tuple[Any, ...]:
        return (
            -(replica.actual // 1024),
            -replica.newest_mtime_ns,
            replica.meta.dirty if replica.meta else True,
            -(replica.revision or 0),
            -replica.head_mtime_ns,
            len(replica.chain.layers) if replica.chain else 0,
            order.get(replica.node, len(order)),
            replica.node,
            replica.name,
        )

    good = sorted((replica for replica in replicas if _is_candidate(replica)), key=key)
    if good:
        good[0] = _flag_older_head(good[0], good[1:], known.older_head)
    bad = sorted((replica for replica in replicas if not _is_candidate(replica)), key=key)
    ranked = [Candidate(replica, place) for place, replica in enumerate(good, 1)]
    return Ranking(volume, (*ranked, *(Candidate(replica, None) for replica in bad)))


def _is_candidate(replica: Replica) -> bool:
    heavy = any(finding.severity >= Severity.REFUSED for finding in replica.findings)
    return replica.chain is not None and not heavy


def _flag_older_head(winner: Replica, others: list[Replica], margin: float) -> Replica:
    """Size may prefer a stale replica with many snapshots: say so (LHR-035)."""
    newest = max(others, key=lambda replica: replica.head_mtime_ns, default=winner)
    late = (newest.head_mtime_ns - winner.head_mtime_ns) / _NANOSECONDS
    if late <= margin:
        return winner
    place = f"{newest.node}:{newest.name}" if newest.node else newest.name
    return winner.with_findings(Finding("head-older", f"its head is {late:.0f} s older than that of {place}"))
