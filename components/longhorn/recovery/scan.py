"""Finds every replica directory below some folders, and reports them with verdict, reasons and rank (LHR-020..038).

Reports of several disks and nodes are put together into one: each is read where it was made, and again as JSON.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .directory import looks_like_replica, read_replica, split_name
from .errors import BadInputError, RecoveryError, Status
from .findings import RULES, Finding, Verdict
from .in_use import users_of
from .inspection import files_of, inspect
from .metadata import VolumeMeta
from .ranking import OF_CIRCUMSTANCES, Circumstances, Ranking, rank
from .replica import Chain, Layer, Replica
from .strip import Strip, draw
from .volume import open_volume


@dataclass(frozen=True)
class ScanReport:
    """What was found. `unreadable` lists folders that could not be looked into, with the reason."""

    replicas: tuple[Replica, ...]
    rankings: tuple[Ranking, ...]
    strips: Mapping[str, Strip]
    unreadable: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """RECOVERED when each volume has a good directory; else what is wrong with the worst volume."""
        if not self.replicas:
            return Status.REFUSED
        found = {_status(ranking) for ranking in self.rankings if ranking.volume}
        found |= {Status.WARNINGS} if self.unreadable else set()
        worst_first = (Status.DAMAGED, Status.REFUSED, Status.WARNINGS)
        return next((status for status in worst_first if status in found), Status.RECOVERED)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "status": self.status.name.lower(),
            "volumes": [ranking.as_dict() for ranking in self.rankings],
            "strips": {place: strip.as_dict() for place, strip in self.strips.items()},
            "unreadable": list(self.unreadable),
        }


def scan(
    folders: Sequence[Path],
    *,
    node: str = "",
    deep: bool = False,
    circumstances: Circumstances | None = None,
) -> ScanReport:
    """Find and judge every replica directory below the folders. Raises BadInputError when one does not exist."""
    known = circumstances or Circumstances()
    unreadable: list[str] = []
    found: list[Replica] = []
    for folder in folders:
        if not folder.is_dir():
            raise BadInputError("not-a-directory", f"{folder} is not a directory")
        places = find(folder, unreadable)
        found += [read_replica(path, node=node, disk=str(folder), accepting=known.accepting) for path in places]
    users = users_of(file for replica in found for file in files_of(replica))
    replicas = [inspect(replica, deep=deep, accepting=known.accepting, users=users) for replica in found]
    rankings = rank(replicas, known)
    chosen = [ranking.chosen for ranking in rankings if ranking.chosen]
    strips = {str(replica.path): strip for replica in chosen if (strip := _strip(replica))}
    return ScanReport(tuple(replicas), rankings, strips, tuple(unreadable))


def combine(reports: Sequence[ScanReport], circumstances: Circumstances | None = None) -> ScanReport:
    """Put the reports of several disks or nodes together and rank again."""
    replicas = tuple(replica for report in reports for replica in report.replicas)
    strips = {place: strip for report in reports for place, strip in report.strips.items()}
    unreadable = tuple(line for report in reports for line in report.unreadable)
    return ScanReport(replicas, rank(replicas, circumstances), strips, unreadable)


def from_dict(document: dict[str, Any]) -> ScanReport:
    """Read a report's JSON form again, unranked. Raises BadInputError when it is not one."""
    try:
        candidates = [candidate for volume in document["volumes"] for candidate in volume["candidates"]]
        replicas = tuple(_replica(candidate) for candidate in candidates)
        strips = {
            place: Strip(strip["cells"], tuple(strip["wins"]), tuple(strip["wins"].values()))
            for place, strip in document["strips"].items()
        }
        unreadable = tuple(str(line) for line in document["unreadable"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        lacks = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BadInputError("not-a-report", f"this is no report of `scan --json`: {lacks}") from error
    return ScanReport(replicas, (), strips, unreadable)


def _replica(candidate: dict[str, Any]) -> Replica:
    findings = tuple(
        Finding(finding["code"], finding["message"], finding["file"], finding["accepted"])
        for finding in candidate["findings"]
        if RULES[finding["code"]] and finding["code"] not in OF_CIRCUMSTANCES
    )
    layers, branches = (
        tuple(Layer(path=Path(candidate["path"], layer["name"]), **layer) for layer in candidate[key])
        for key in ("layers", "branches")
    )
    chain = Chain(candidate["size"], layers) if layers else None
    meta = VolumeMeta(**candidate["meta"]) if candidate["meta"] else None
    plain = ("name", "volume", "suffix", "node", "disk", "apparent", "actual", "newest_mtime_ns", "revision")
    known = {key: candidate[key] for key in plain}
    return Replica(path=Path(candidate["path"]), meta=meta, chain=chain, branches=branches, findings=findings, **known)


def _status(ranking: Ranking) -> Status:
    if ranking.chosen is None:
        verdicts = {candidate.replica.verdict for candidate in ranking.candidates}
        return Status.REFUSED if Verdict.REFUSED in verdicts else Status.DAMAGED
    return Status.WARNINGS if ranking.chosen.verdict is Verdict.WARNINGS else Status.RECOVERED


def find(folder: Path, unreadable: list[str]) -> Iterator[Path]:
    """Return the replica directories at or below a folder, in order.

    What cannot be entered is added to the list, unless its name says that it is one: then it is one, to be judged so.
    """
    seen: set[Path] = set()
    closed: list[Path] = []

    def note(error: OSError) -> None:
        place = Path(error.filename)
        if split_name(place.name)[0]:
            closed.append(place)
        else:
            unreadable.append(_reason(error))

    for path, folders, files in os.walk(folder, onerror=note):
        folders.sort()
        place = Path(path)
        real = place.resolve()
        if real in seen:
            continue
        seen.add(real)
        if looks_like_replica(files) or (not folders and split_name(place.name)[0]):
            folders.clear()
            yield place
    yield from closed


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}"


def _strip(replica: Replica) -> Strip | None:
    if replica.chain is None:
        return None
    try:
        with closing(open_volume(replica.chain)) as volume:
            return draw(volume, replica.chain.names)
    except (OSError, RecoveryError):
        return None
