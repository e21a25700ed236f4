"""The committed record of a long test run, made of pytest's own report (JUnit XML)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from xml.etree import ElementTree as ET

from toolchain.progress import duration

_BY_FOLDER = "engine"
"""The one area that is shown by its folders: each has a subject of its own, and most of the time goes there."""

_BAR = r"\|"
"""A bar inside a cell."""


class _Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class _Case:
    """One test: its module in dotted form, its outcome, why it was skipped, and its seconds, set-up included."""

    module: str
    name: str
    outcome: _Outcome
    reason: str
    seconds: float

    @property
    def area(self) -> str:
        """The folder under which it is counted."""
        parts = self.module.split(".")
        depth = 3 if parts[1:2] == [_BY_FOLDER] and len(parts) > 3 else 2  # noqa: PLR2004 - tests.engine.area.module
        return "/".join(parts[:depth])


def describe(outcome: str, facts: Mapping[str, str]) -> str:
    """Return the record as Markdown: the facts given, the counts, each area, each reason for a skip, each failure."""
    report = ET.fromstring(outcome)  # noqa: S314 - pytest wrote it a moment ago
    cases = list(_cases(report))
    counts = Counter(case.outcome for case in cases)
    took = sum(float(suite.get("time", "0")) for suite in report.iter("testsuite"))
    head = {**facts, **{str(outcome): counts[outcome] for outcome in _Outcome}, "duration": duration(took)}
    skipped = Counter((case.area, case.reason) for case in cases if case.outcome is _Outcome.SKIPPED)
    failed = sorted(f"{case.module}::{case.name}" for case in cases if case.outcome is _Outcome.FAILED)
    return "\n".join(
        [
            "# Last long test run\n",
            "Written by `./factory test --long`: everything at full count.\n",
            *_table(("", ""), head.items()),
            "\n## Areas\n",
            "Seconds are those of the tests, which run side by side.\n",
            *_table(("area", "passed", "failed", "skipped", "seconds"), _areas(cases)),
            "\n## Skipped\n",
            *(
                _table(("area", "tests", "reason"), ((area, n, why) for (area, why), n in sorted(skipped.items())))
                if skipped
                else ["Nothing."]
            ),
            *(["\n## Failed\n", *(f"- `{name}`" for name in failed)] if failed else []),
            "",
        ]
    )


def _cases(report: ET.Element) -> Iterator[_Case]:
    """Yield each test once, though a test that fails and whose teardown fails too stands there twice."""
    seen: dict[tuple[str, str], _Case] = {}
    for element in report.iter("testcase"):
        module, name = element.get("classname", ""), element.get("name", "")
        skipped = element.find("skipped")
        if element.find("failure") is not None or element.find("error") is not None:
            outcome = _Outcome.FAILED
        else:
            outcome = _Outcome.PASSED if skipped is None else _Outcome.SKIPPED
        reason = "" if skipped is None else skipped.get("message", "")
        case = _Case(module, name, outcome, reason, float(element.get("time", "0")))
        if before := seen.get((module, name)):
            worse = case if outcome is _Outcome.FAILED else before
            case = replace(worse, seconds=before.seconds + case.seconds)
        seen[module, name] = case
    yield from seen.values()


def _areas(cases: Iterable[_Case]) -> Iterator[tuple[object, ...]]:
    areas: dict[str, list[_Case]] = {}
    for case in cases:
        areas.setdefault(case.area, []).append(case)
    for area, its in sorted(areas.items()):
        counts = Counter(case.outcome for case in its)
        yield (area, *(counts[outcome] for outcome in _Outcome), round(sum(case.seconds for case in its)))


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    columns = list(head)
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', _BAR) for cell in row)} |"
