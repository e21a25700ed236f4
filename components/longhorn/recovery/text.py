"""Reports for a person: plain text, one fact per line, nothing that needs a wide terminal but the table itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from .compare import Comparison
from .findings import Severity
from .merge import MergeResult
from .ranking import Candidate, Ranking
from .scan import ScanReport

_HEADER = ("rank", "node", "directory", "size", "on disk", "layers", "dirty", "rev.", "last change (UTC)", "verdict")
_LEFT = {1, 2, 8, 9}
_UNIT = 1024
_SHOWN = 40
"""Differing ranges that a person is shown."""
_LETTERS = 26


def size(count: int | None) -> str:
    """Return bytes in binary units."""
    if count is None:
        return "-"
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < _UNIT:
            break
        amount, unit = amount / _UNIT, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount == int(amount) else f"{amount:.1f} {unit}"


def time_of(nanoseconds: int) -> str:
    """Return a time in UTC; never fails, whatever a broken disk says."""
    try:
        moment = dt.datetime.fromtimestamp(nanoseconds // 10**9, dt.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return f"{nanoseconds // 10**9} s"
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def scan_text(report: ScanReport) -> Iterator[str]:
    """Return the lines of a scan's report."""
    for ranking in report.rankings:
        yield from _ranking(ranking)
        chosen = ranking.chosen
        strip = report.strips.get(str(chosen.path)) if chosen else None
        if strip:
            yield f"  owner of each 1/{len(strip.cells)} of the volume (0 is the newest layer, . is empty):"
            yield f"  [{strip.cells}]"
            yield from (f"    {mark} {name}: {size(won)}" for mark, name, won in strip.legend())
        yield f"  next: {_next(ranking)}"
        yield ""
    for line in report.unreadable:
        yield f"not looked into: {line}"
    if not report.replicas:
        yield "no replica directory was found"


def merge_text(result: MergeResult) -> Iterator[str]:
    """Return the lines of a merge's report."""
    state = "was complete before" if result.reused else "resumed" if result.resumed_at else "written"
    yield f"{result.output}: {state}, {size(result.plan.volume_size)}, {size(result.content.data_bytes)} of it data"
    for layer in result.plan.layers:
        yield f"  {size(layer.wins):>10} of {size(layer.allocated):>10}  {layer.name}"
    yield f"  content sha256 {result.content.sha256}{', read back and equal' if result.verified else ''}"
    if result.content.stream_sha256:
        yield f"  image   sha256 {result.content.stream_sha256}"
    if result.manifest:
        yield f"  manifest {result.manifest}"
    for finding in sorted(result.findings, key=lambda finding: -finding.severity):
        yield f"  {finding.severity.name.lower()}: {finding}"


def compare_text(found: Comparison) -> Iterator[str]:
    """Return the lines of a comparison's report."""
    for index, replica in enumerate(found.replicas):
        yield f"{_letter(index)} {replica.path}"
    yield f"{size(found.compared)} compared, {size(found.differing)} differ in {found.ranges} ranges"
    for difference in found.differences[:_SHOWN]:
        contents = "".join(_letter(group).lower() for group in difference.groups)
        layers = ", ".join(layer or "nothing" for layer in difference.layers)
        yield f"  {difference.offset:>15} +{size(difference.length)} {contents}: {layers}"
    if found.ranges > _SHOWN:
        yield f"  and {found.ranges - _SHOWN} more; --json lists them"
    for index, affected in enumerate(found.affected):
        names = [*affected.files, *(f"({structure})" for structure in affected.structures)]
        yield f"  in {_letter(index)}: {', '.join(names) or affected.note or 'nothing'}"
    yield from (f"  {finding.severity.name.lower()}: {finding}" for finding in found.findings)
    yield f"verdict: {_verdict(found)}"


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < _LETTERS else f"[{index}]"


def _verdict(found: Comparison) -> str:
    if len(found.agreeing) == 1:
        return "equal" + (", but not in size" if found.findings else ": each of them gives the same image")
    groups = [" = ".join(_letter(index) for index in group) for group in found.agreeing]
    return f"different: {', '.join(groups)}; `scan` of their folders ranks them by what they say of themselves"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: set[int]) -> Iterator[str]:
    """Return rows in columns; those in `left` are aligned to the left."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        cells = (
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        yield "  ".join(cells).rstrip()


def _ranking(ranking: Ranking) -> Iterator[str]:
    chosen = ranking.chosen
    title = ranking.volume or "directories of no volume"
    place = f"AUTO -> {_place(chosen.node, str(chosen.path))} ({size(chosen.actual)})" if chosen else "NOT FOUND"
    yield f"{title}: {place}"
    yield from (f"  {line}" for line in table(_HEADER, [_row(c) for c in ranking.candidates], _LEFT))
    for candidate in ranking.candidates:
        for finding in sorted(candidate.replica.findings, key=lambda finding: -finding.severity):
            if finding.severity > Severity.NOTE:
                yield f"    {candidate.replica.name}: {finding.severity.name.lower()}: {finding}"


def _next(ranking: Ranking) -> str:
    if ranking.chosen:
        where = f" on {ranking.chosen.node}" if ranking.chosen.node else ""
        return f"merge {ranking.chosen.path} IMAGE{where}; the directory is only read"
    if any(candidate.replica.chain for candidate in ranking.candidates):
        return "accept a risk by its code where one is offered, or restore a backup; keep the directories"
    return "look on the other nodes, or restore a backup; keep the directories"


def _place(node: str, path: str) -> str:
    return f"{node}:{path}" if node else path


def _row(candidate: Candidate) -> tuple[str, ...]:
    replica = candidate.replica
    return (
        "-" if candidate.rank is None else str(candidate.rank),
        replica.node or "-",
        replica.name,
        size(replica.chain.volume_size if replica.chain else replica.meta.size if replica.meta else None),
        size(replica.actual),
        str(len(replica.chain.layers)) if replica.chain else "-",
        "-" if replica.meta is None else "yes" if replica.meta.dirty else "no",
        "-" if replica.revision is None else str(replica.revision),
        time_of(replica.newest_mtime_ns),
        replica.verdict.value,
    )
