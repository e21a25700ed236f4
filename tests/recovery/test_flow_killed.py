"""A run that ends anywhere: the next one arrives at the same place, formats nothing twice, loses no copy (LHT-012)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from components.longhorn.flow.interfaces import ClusterError, NodeError, Ref
from components.longhorn.flow.report import Outcome
from components.longhorn.recovery.backup import check_backup
from tests.support.fake_longhorn import NAMESPACE, Manners
from tests.support.recovery_node import Killed, Killer
from tests.support.recovery_site import FILES, PV, Site, make_site, volume

CLUSTER_CHANGES = {"create", "patch", "delete", "replace", "execute"}
CHANGES = CLUSTER_CHANGES | {"put"}
RANDOM_POINTS = 12
MANNERS = (Manners(), Manners(recreates_claims=True, slow=1))


def backups(site: Site) -> list[Path]:
    """All complete copies, each verified byte by byte."""
    base = Path(site.settings.backup_base)
    found = [path for path in base.glob("*/*") if path.is_dir() and not path.name.endswith(".partial")]
    for path in found:
        check_backup(path, content=True)
    return found


def killed_and_run_again(root: Path, at: int, *, after: bool, manners: Manners) -> None:
    site = make_site(root, volume(verify_cmd="true"), manners=manners)
    with pytest.raises(Killed):
        site.run(Killer(at, after=after))
    kept = backups(site)
    report = site.run()
    place = f"killed {'after' if after else 'before'} call {at}"
    assert report.outcome is Outcome.RECOVERED, f"{place}: {report.text()}"
    assert site.restored() == FILES, place
    assert site.devices[PV].formats == 1, place
    assert set(kept) <= set(backups(site)), place
    assert len(backups(site)) == 1, place
    workload = site.cluster.get(Ref("StatefulSet", "web", "shop"))
    assert workload is not None
    assert workload["spec"]["replicas"] == 2, place
    tickets = site.cluster.objects[Ref("longhorn.VolumeAttachment", PV, NAMESPACE)]["spec"]["attachmentTickets"]
    assert tickets == {}, place


def points(root: Path, manners: Manners) -> tuple[list[int], int]:
    """The calls that change something, and how many there are in all."""
    killer = Killer()
    make_site(root, volume(verify_cmd="true"), manners=manners).run(killer)
    return [index for index, name in enumerate(killer.log, 1) if name in CHANGES], killer.calls


def test_at_every_change_of_the_cluster(fast_path: Path, long_run: bool) -> None:
    for number, manners in enumerate(MANNERS if long_run else MANNERS[:1]):
        changes, _calls = points(fast_path / f"count-{number}", manners)
        assert len(changes) >= 10
        for at in changes:
            for after in (False, True):
                killed_and_run_again(fast_path / f"{number}-{at}-{after}", at, after=after, manners=manners)


def test_at_random_points(fast_path: Path, dice: random.Random, long_run: bool) -> None:
    manners = MANNERS[1]
    _changes, calls = points(fast_path / "count", manners)
    for number in range(500 if long_run else RANDOM_POINTS):
        at, after = dice.randint(1, calls), dice.random() < 0.5
        killed_and_run_again(fast_path / f"r{number}", at, after=after, manners=manners)


def test_killed_over_and_over(fast_path: Path) -> None:
    """Each run gets a few calls further than the one before; the last arrives."""
    site = make_site(fast_path)
    for at in range(20, 400, 23):
        with suppress(Killed):
            report = site.run(Killer(at))
            break
    else:
        pytest.fail("no run arrived")
    assert report.outcome is Outcome.RECOVERED
    assert site.restored() == FILES
    assert site.devices[PV].formats == 1


class Flaky(Killer):
    """Answers some calls of the cluster with an error instead of ending the run."""

    def __init__(self, errors: Iterator[Exception | None]) -> None:
        super().__init__()
        self._errors = errors

    def call(self, what: str, work: object) -> object:
        error = next(self._errors)
        self.calls += 1
        if error is not None and what in CLUSTER_CHANGES | {"get", "list"} and isinstance(error, ClusterError):
            raise error
        return work()  # type: ignore[operator]


def test_answers_409_500_and_none_are_borne(fast_path: Path, dice: random.Random) -> None:
    def errors() -> Iterator[Exception | None]:
        while True:
            status = dice.choice([0, 409, 429, 500, 503])
            yield ClusterError(status, "passing") if dice.random() < 0.25 else None

    site = make_site(fast_path)
    report = site.run(Flaky(errors()))
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert site.restored() == FILES
    assert site.devices[PV].formats == 1


def test_a_refusal_that_does_not_pass_stops_the_volume(fast_path: Path) -> None:
    """A webhook that says no is no reason to ask twenty times."""
    site = make_site(fast_path)
    refused = site.cluster.create

    def create(ref: Ref, body: dict[str, object]) -> dict[str, object]:
        if ref.kind == "longhorn.Volume":
            raise ClusterError(403, "admission webhook denied the request")
        return refused(ref, body)

    site.cluster.create = create  # type: ignore[method-assign]
    report = site.run()
    assert report.outcome is Outcome.FAILED
    assert "admission webhook" in report.volumes[0].error


def test_def_08_a_truncated_copy_is_not_accepted(fast_path: Path) -> None:
    """DEF-08 in the flow: a copy that lost its end stops the volume before anything is made of it."""
    site = make_site(fast_path)
    with pytest.raises(Killed):
        site.run(Killer(points(fast_path / "count", Manners())[0][4]))
    for path in Path(site.settings.backup_base).rglob("volume-snap-first.img"):
        with path.open("r+b") as file:
            file.truncate(1 << 20)
    report = site.run()
    assert report.outcome is Outcome.FAILED
    assert "not as it was copied" in report.volumes[0].error


def test_def_09_a_truncated_image_is_not_accepted(fast_path: Path) -> None:
    """DEF-09 in the flow: an image that lost its end is not used, and not taken for complete."""
    site = make_site(fast_path)
    with pytest.raises(Killed):
        site.run(Killer(points(fast_path / "count", Manners())[0][1]))
    images = list(Path(site.settings.merged_base).rglob("*.img"))
    assert images
    for path in images:
        with path.open("r+b") as file:
            file.truncate(1 << 20)
    report = site.run()
    assert report.outcome is Outcome.FAILED or site.restored() == FILES
    if report.outcome is Outcome.FAILED:
        assert site.devices == {}


def test_a_lost_connection_during_the_copy_keeps_the_ticket_while_something_is_mounted(fast_path: Path) -> None:
    """LHR-133."""
    site = make_site(fast_path)
    node = site.nodes["node1"]

    def copy(*_arguments: str) -> None:
        node._mounted = lambda _mounts: type("Completed", (), {"status": 1, "out": "", "err": ""})()  # type: ignore[method-assign]
        raise NodeError("node1: connection lost")

    plain, mounted = node._copy, node._mounted
    node._copy = copy  # type: ignore[method-assign, assignment]
    report = site.run()
    assert report.outcome is Outcome.FAILED
    assert "still mounted" in " ".join(report.volumes[0].warnings)
    tickets = site.cluster.objects[Ref("longhorn.VolumeAttachment", PV, NAMESPACE)]["spec"]["attachmentTickets"]
    assert set(tickets) == {"recovery"}
    node._copy, node._mounted = plain, mounted  # type: ignore[method-assign]
    assert site.run().outcome is Outcome.RECOVERED
    assert site.restored() == FILES
    assert site.devices[PV].formats == 1
