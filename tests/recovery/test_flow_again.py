"""A recovery that meets the traces of an earlier one: they save work, and decide nothing that is no longer true."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from components.longhorn.flow.describe import steps_of
from components.longhorn.flow.interfaces import Ref
from components.longhorn.flow.recover import PreflightError
from components.longhorn.flow.report import Outcome
from tests.support.fake_longhorn import NAMESPACE
from tests.support.recovery_site import FILES, OLD, PV, Site, filled_image, make_site, volume, write_replica

NEWER = f"{PV}-ffffffff"


def lose_everything(site: Site) -> None:
    """Lose the control plane once more, and with it the volume that was recovered."""
    gone = {"PersistentVolume", "PersistentVolumeClaim"}
    for ref in list(site.cluster.objects):
        if ref.kind.startswith("longhorn.") or ref.kind in gone:
            site.cluster.remove(ref)
    device = site.devices.pop(PV)
    assert device.files is not None
    device.files.rename(device.files.with_name(f"lost-{len(list(site.root.iterdir()))}"))
    site.longhorn.generation += 1


def add_replica(site: Site, name: str, *, age: float) -> None:
    """Put down another directory of the volume, with more in it, written ``age`` seconds ago by the run's clock."""
    directory = site.replicas / name
    content = bytearray(filled_image())
    content[-8192:] = os.urandom(8192)
    write_replica(directory, bytes(content))
    written = site.clock.now() - age
    for path in [*directory.iterdir(), directory]:
        os.utime(path, (written, written))


def with_volume(site: Site, **changes: object) -> None:
    site.volumes = (volume(**changes),)


def sources(site: Site) -> str:
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert site.restored() == FILES
    return report.volumes[0].source


def test_a_volume_that_was_lost_again_is_filled_again(fast_path: Path) -> None:
    """The note that a copy is complete is about the device of then; a device that was just formatted is empty."""
    site = make_site(fast_path)
    sources(site)
    lose_everything(site)
    assert sources(site) == f"node1:{OLD}"
    assert site.devices[PV].formats == 1


def test_a_completed_recovery_pins_no_source_for_the_next_incident(fast_path: Path) -> None:
    """LHR-036 holds within a recovery; months later the newest directory has the data."""
    site = make_site(fast_path)
    assert sources(site) == f"node1:{OLD}"
    site.clock.time_now += 90 * 86400
    add_replica(site, NEWER, age=3600)
    lose_everything(site)
    assert sources(site) == f"node1:{NEWER}"


def stopped_before_the_volume(site: Site) -> None:
    """Let a run choose its source and end before it makes a Volume."""
    site.longhorn.manners.keeps_pods = True
    owner = site.cluster.objects[Ref("StatefulSet", "web", "shop")]["metadata"]["uid"]
    pod = Ref("Pod", "web-0", "shop")
    owners = [{"uid": owner, "kind": "StatefulSet", "name": "web"}]
    site.put(pod, {"metadata": {"ownerReferences": owners}, "status": {"phase": "Running"}})
    assert site.run().volumes[0].code == "timeout"
    site.cluster.remove(pod)
    site.longhorn.manners.keeps_pods = False
    assert Ref("longhorn.Volume", PV, NAMESPACE) not in site.cluster.objects


def test_a_source_that_a_person_names_counts_more_than_an_earlier_run_s(fast_path: Path) -> None:
    """VAR-002: `try another replica` can be done."""
    site = make_site(fast_path)
    add_replica(site, NEWER, age=86400)
    stopped_before_the_volume(site)
    with_volume(site, source_node="node1", source_dir=OLD)
    assert sources(site) == f"node1:{OLD}"


def test_a_volume_made_for_another_source_is_not_taken_for_the_named_one(fast_path: Path) -> None:
    """DT-5: another source is asked about."""
    site = make_site(fast_path)
    add_replica(site, NEWER, age=86400)
    assert sources(site) == f"node1:{NEWER}"
    with_volume(site, source_node="node1", source_dir=OLD)
    site.cluster.mutations.clear()
    with pytest.raises(PreflightError, match=f"made for node1:{NEWER}"):
        site.run()
    assert site.cluster.mutations == []


def test_what_was_written_since_an_unfinished_run_is_asked_about(fast_path: Path) -> None:
    site = make_site(fast_path)
    stopped_before_the_volume(site)
    site.clock.time_now += 90 * 86400
    add_replica(site, NEWER, age=3600)
    site.cluster.mutations.clear()
    with pytest.raises(PreflightError, match=f"{NEWER} was written since"):
        site.run()
    assert site.cluster.mutations == []
    with_volume(site, source_node="node1", source_dir=NEWER)
    assert sources(site) == f"node1:{NEWER}"


def test_a_plan_names_the_source_that_a_run_would_go_on_with(fast_path: Path) -> None:
    """INV-015."""
    site = make_site(fast_path)
    add_replica(site, NEWER, age=86400)
    site.nodes["node1"].unmountable = {NEWER}
    stopped_before_the_volume(site)
    ranking = site.recovery().discover()[0]
    assert ranking.best is not None
    assert ranking.best.directory == NEWER
    assert f"go on with node1:{OLD}, which an earlier run chose" in steps_of(site.world(), site.volumes[0])


def test_a_disk_that_the_copies_have_filled_does_not_stop_the_next_run(fast_path: Path) -> None:
    """LHR-017: only what is still to be made needs room (INV-007)."""
    site = make_site(fast_path)
    stopped_before_the_volume(site)
    scratch = next(Path(site.settings.merged_base).rglob("*.img"))
    scratch.with_name(f"{scratch.name}.repaired").touch()
    site.nodes["node1"].free = 0
    assert sources(site) == f"node1:{OLD}"


def test_room_is_wanted_for_what_is_not_there_yet(fast_path: Path) -> None:
    site = make_site(fast_path)
    stopped_before_the_volume(site)
    site.nodes["node1"].free = 0
    report = site.run()
    assert report.volumes[0].code == "no-room"
    assert "bytes are needed and 0 are free" in report.volumes[0].error


def test_two_runs_never_work_on_one_volume(fast_path: Path) -> None:
    """LHR-133: the one that ends first would take the device from under the other's copy."""
    site = make_site(fast_path)
    with site.world().journal(site.volumes[0].key).alone(), pytest.raises(PreflightError, match="another run"):
        site.run()
    assert site.cluster.mutations == []
    assert sources(site) == f"node1:{OLD}"


def test_the_copy_is_enough_when_the_original_has_gone(fast_path: Path) -> None:
    """INV-003: the copy was proven, and may be the last one."""
    site = make_site(fast_path)
    stopped_before_the_volume(site)
    shutil.rmtree(site.replicas / OLD)
    assert sources(site) == f"node1:{OLD}"
