"""Which directory a volume is recovered from: the documented incident, thresholds, ties, refusals (LHR 5.2, DT-4)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.longhorn.recovery import Replica, Status, Verdict, read_replica
from components.longhorn.recovery.ranking import Circumstances, Ranking, rank
from components.longhorn.recovery.scan import ScanReport, combine, from_dict, scan
from tests.recovery.model import incident
from tests.recovery.model.incident import INCIDENT, NODES
from tests.recovery.model.layers import make_replica

pytestmark = pytest.mark.usefixtures("nobody_else")
VOLUME = "pvc-0a1b2c3d"
KNOWN = Circumstances(incident=INCIDENT, nodes=NODES, older_head=1e9)


@pytest.fixture
def report(fast_path: Path) -> ScanReport:
    """The incident, scanned on each node, sent as JSON, and put together."""
    incident.build(fast_path)
    reports = [scan([fast_path / node], node=node) for node in NODES]
    sent = [from_dict(json.loads(json.dumps(one.as_dict()))) for one in reports]
    return combine(sent, KNOWN)


def ranking_of(report: ScanReport, volume: str) -> Ranking:
    return next(ranking for ranking in report.rankings if ranking.volume == volume)


def test_incident_every_directory_is_listed_once(report: ScanReport) -> None:
    listed = [(c.replica.node, c.replica.name) for ranking in report.rankings for c in ranking.candidates]
    assert sorted(listed) == sorted((place.node, place.name) for place in incident.places())
    assert len(listed) == 54
    # Directories that no dump knows are volumes like others here: listed, ranked, never touched.
    assert {f"pvc-{name}" for name in ("63244de1", "abe09e90")} <= {r.volume[:12] for r in report.rankings}


def test_incident_the_documented_choices(report: ScanReport) -> None:
    chosen = {volume: ranking_of(report, volume).chosen for volume in (incident.CLICKHOUSE, incident.PROMETHEUS)}
    clickhouse, prometheus = chosen.values()
    assert clickhouse
    assert (clickhouse.node, clickhouse.suffix) == ("node-3", "1163420b")
    assert prometheus
    assert (prometheus.node, prometheus.suffix) == ("node-2", "910583f6")
    rejected = ranking_of(report, incident.PROMETHEUS).candidates[-1]
    assert (rejected.replica.suffix, rejected.rank) == ("deea6182", None)
    assert [finding.code for finding in rejected.replica.findings if finding.severity >= 2] == ["rebuilding"]
    shortener = ranking_of(report, incident.SHORTENER).candidates
    assert [candidate.replica.suffix for candidate in shortener] == ["70197659", "998f49ff", "b2695689"]


def test_incident_the_first_node_lost_all_old_directories(report: ScanReport) -> None:
    """LHR-038: discovery copes with a node that has no candidate; new volumes are no source (INV-013)."""
    on_first = [c for ranking in report.rankings for c in ranking.candidates if c.replica.node == NODES[0]]
    assert [candidate.rank for candidate in on_first] == [None] * 3
    new = [ranking for ranking in report.rankings if ranking.volume[4:12] in incident.NEW]
    assert [ranking.chosen for ranking in new] == [None] * 3
    assert {f.code for r in new for c in r.candidates for f in c.replica.findings if f.severity >= 2} == {
        "after-incident"
    }
    assert report.status is Status.REFUSED


def test_incident_a_live_directory_is_no_source(report: ScanReport) -> None:
    """DEF-12, INV-013: a directory that a Replica object refers to never wins, however big."""
    live = frozenset({f"{incident.CLICKHOUSE}-1163420b"})
    again = combine([report], replace(KNOWN, live=live))
    ranking = ranking_of(again, incident.CLICKHOUSE)
    assert ranking.chosen
    assert ranking.chosen.name not in live
    assert "live" in [finding.code for finding in ranking.candidates[-1].replica.findings]


def replica(path: Path, **changes: object) -> Replica:
    incident.stamp(make_replica(path, "AB", ".C"), INCIDENT - 60)
    found = read_replica(path)
    return replace(found, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kib", "candidate"), [(15, False), (16, False), (17, True)])
def test_threshold_is_16_kib_and_strict(kib: int, candidate: bool, tmp_path: Path) -> None:
    """DEF-02: the described tool compared KiB with 16384, and lost every small volume."""
    found = replica(tmp_path / f"{VOLUME}-00000001", actual=kib * 1024)
    (ranking,) = rank([found])
    assert (ranking.chosen is not None) is candidate
    (looser,) = rank([found], Circumstances(minimum_kib=14))
    assert looser.chosen is not None


def test_actual_size_counts_and_not_the_apparent_one(tmp_path: Path) -> None:
    big, real = (replica(tmp_path / f"{VOLUME}-0000000{n}") for n in (1, 2))
    ranked = rank([replace(big, apparent=24 << 30, actual=13 << 27), replace(real, apparent=8 << 30, actual=11 << 30)])
    assert ranked[0].chosen
    assert ranked[0].chosen.name == real.name


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"actual": 3 << 20}, {"actual": 2 << 20}),
        ({"newest_mtime_ns": 5}, {"newest_mtime_ns": 4}),
        ({"revision": 7}, {"revision": 6}),
        ({"revision": 7}, {"revision": None}),
        ({"node": NODES[0]}, {"node": NODES[1]}),
        ({}, {}),
    ],
)
def test_criteria_in_their_order(better: dict[str, object], worse: dict[str, object], tmp_path: Path) -> None:
    """A tie goes to the first in the order of nodes, then of names; the order of the input never matters."""
    same: dict[str, object] = {"actual": 1 << 20, "newest_mtime_ns": 1, "revision": 1}
    first = replica(tmp_path / f"{VOLUME}-0000000a", **(same | better))
    second = replica(tmp_path / f"{VOLUME}-0000000b", **(same | worse))
    for order in ([first, second], [second, first]):
        (ranking,) = rank(order, Circumstances(nodes=NODES))
        assert [candidate.replica.name for candidate in ranking.candidates] == [first.name, second.name]
        assert [candidate.rank for candidate in ranking.candidates] == [1, 2]


def test_clean_before_dirty_and_size_before_both(tmp_path: Path) -> None:
    """OQ-10: the size comes first."""
    clean = read_replica(make_replica(tmp_path / f"{VOLUME}-00000001", "AB"))
    dirty = read_replica(make_replica(tmp_path / f"{VOLUME}-00000002", "AB", Dirty=True))
    same = {"actual": 1 << 20, "newest_mtime_ns": 1}
    (ranking,) = rank([replace(dirty, **same), replace(clean, **same)])  # type: ignore[arg-type]
    assert ranking.chosen
    assert ranking.chosen.name == clean.name
    (ranking,) = rank([replace(dirty, actual=2 << 20), replace(clean, actual=1 << 20)])
    assert ranking.chosen
    assert ranking.chosen.name == dirty.name


def test_a_bigger_stale_directory_is_flagged(tmp_path: Path) -> None:
    """LHR-035: size alone may prefer a stale replica with many snapshots."""
    stale = read_replica(make_replica(tmp_path / f"{VOLUME}-00000001", "AB"))
    fresh = read_replica(make_replica(tmp_path / f"{VOLUME}-00000002", "AB"))
    incident.stamp(stale.path, INCIDENT - 90_000)
    incident.stamp(fresh.path, INCIDENT - 60)
    found = [replace(read_replica(r.path), actual=size) for r, size in ((stale, 2 << 20), (fresh, 1 << 20))]
    (ranking,) = rank(found, Circumstances(incident=INCIDENT))
    assert ranking.chosen
    assert ranking.chosen.verdict is Verdict.WARNINGS
    assert [finding.code for finding in ranking.chosen.findings] == ["head-older"]


def test_refusals_of_circumstances(tmp_path: Path) -> None:
    found = replica(tmp_path / f"{VOLUME}-00000001", actual=1 << 20, newest_mtime_ns=int((INCIDENT + 1) * 1e9))
    (ranking,) = rank([found], Circumstances(incident=INCIDENT, sizes={VOLUME: 4096}))
    assert ranking.chosen is None
    assert [finding.code for finding in ranking.candidates[0].replica.findings] == ["size-unexpected", "after-incident"]
    accepting = frozenset({"size-unexpected", "after-incident"})
    (ranking,) = rank([found], Circumstances(incident=INCIDENT, sizes={VOLUME: 4096}, accepting=accepting))
    assert ranking.chosen is not None


def test_renamed_and_foreign_directories_are_listed_and_never_chosen(tmp_path: Path) -> None:
    """ODF-018, LHR-032."""
    for name in (f"{VOLUME}-00000001.empty", f"{VOLUME}-00000002.empty_backup", "copy", f"{VOLUME}-0000000G"):
        make_replica(tmp_path / "replicas" / name, "AB" * 20)
    (tmp_path / "replicas" / f"{VOLUME}-00000009").mkdir()
    (tmp_path / "replicas" / "lost+found").mkdir()
    found = scan([tmp_path])
    assert {r.volume: {c.replica.name for c in r.candidates} for r in found.rankings} == {
        "": {"copy", f"{VOLUME}-0000000G"},
        VOLUME: {f"{VOLUME}-00000001.empty", f"{VOLUME}-00000002.empty_backup", f"{VOLUME}-00000009"},
    }
    assert [ranking.chosen for ranking in found.rankings] == [None, None]
    assert found.status is Status.REFUSED
