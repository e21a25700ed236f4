"""What stops a volume on its way, and what holds on to it: objects of others are neither taken nor written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.longhorn.flow.decide_attach import decide_attach
from components.longhorn.flow.decide_bind import decide_bind, pv_manifest
from components.longhorn.flow.decide_stop import Source, decide_prepare, scale_down, volume_manifest
from components.longhorn.flow.facts import observe
from components.longhorn.flow.interfaces import Ref
from components.longhorn.flow.marks import REPLICAS, TICKET
from components.longhorn.flow.report import Outcome
from components.longhorn.flow.steps import Act, Delete, Patch, Step, Stop, Wait
from components.longhorn.flow.volumes import VolumeInput
from tests.support.fake_longhorn import NAMESPACE
from tests.support.recovery_site import FILES, PV, Site, make_site, volume

VOLUME = Ref("longhorn.Volume", PV, NAMESPACE)
HOLDER = Ref("longhorn.VolumeAttachment", PV, NAMESPACE)
CLAIM = Ref("PersistentVolumeClaim", "data-web-0", "shop")
OTHER_PV = "pvc-00000000-0000-4000-8000-000000000002"
APPLICATION = Ref("Application", "shop", "argocd")
SOURCE = Source("node1", f"{PV}-0a1b2c3d", "digest")


def quiet(root: Path, *volumes: VolumeInput, **settings: Any) -> Site:
    """A site whose workload is stopped and whose old claim is gone."""
    site = make_site(root, *volumes, **settings)
    site.cluster.objects.pop(CLAIM)
    workload = site.cluster.objects[Ref("StatefulSet", "web", "shop")]
    workload["spec"]["replicas"] = 0
    workload["metadata"]["annotations"] = {REPLICAS: "2"}
    return site


def prepared(site: Site) -> Step:
    return decide_prepare(seen(site), site.volumes[0], site.settings, SOURCE)


def seen(site: Site) -> Any:
    return observe(site.cluster, site.volumes[0], site.settings)


def stopped(step: Step) -> str:
    assert isinstance(step, Stop), step
    return step.code


def pod(phase: str) -> dict[str, Any]:
    return {
        "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "data-web-0"}}]},
        "status": {"phase": phase},
    }


def test_a_failed_pod_that_keeps_the_volume_on_its_node_is_removed(fast_path: Path) -> None:
    """FM-15, LHR-073, LHR-091: only it stands in the way, and nobody but the flow would remove it."""
    site = make_site(fast_path)
    held = Ref("VolumeAttachment", "csi-1")
    site.put(Ref("Pod", "web-old", "shop"), pod("Failed"))
    site.put(held, {"spec": {"nodeName": "node2", "source": {"persistentVolumeName": PV}}})
    delete = site.cluster.delete

    def kubelet(ref: Ref, *arguments: Any, **options: Any) -> None:
        delete(ref, *arguments, **options)
        if ref.name == "web-old":
            site.cluster.objects.pop(held)

    site.cluster.delete = kubelet  # type: ignore[method-assign]
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert site.restored() == FILES
    assert [step for step in site.cluster.mutations if "web-old" in step] == ["delete Pod shop/web-old"]


def test_a_kubelet_that_keeps_the_volume_without_a_pod_is_waited_for(fast_path: Path) -> None:
    """LHR-073"""
    site = quiet(fast_path)
    site.put(Ref("VolumeAttachment", "csi-1"), {"spec": {"nodeName": "node2", "source": {"persistentVolumeName": PV}}})
    step = prepared(site)
    assert isinstance(step, Wait)
    assert "csi-1 on node2" in str(step.observed)


def test_whoever_shares_the_volume_ends_first(fast_path: Path) -> None:
    """LHR-006, OQ-18: a ReadWriteMany volume is mounted by its share manager."""
    site = quiet(fast_path)
    manager = {"metadata": {"labels": {"longhorn.io/share-manager": PV}}, "status": {"phase": "Running"}}
    site.put(Ref("Pod", f"share-manager-{PV}", NAMESPACE), manager)
    step = scale_down(seen(site), site.volumes[0], site.settings)
    assert isinstance(step, Wait)
    assert "share managers share-manager-" in step.what


@pytest.mark.parametrize("changes", [{"size": "1"}, {"accessMode": "rwx"}])
def test_a_volume_of_other_terms_is_not_attached(changes: dict[str, str], fast_path: Path) -> None:
    """LHR-082: it was made for this recovery, and is not what is described."""
    site = quiet(fast_path)
    body = volume_manifest(site.volumes[0], site.settings, SOURCE)
    body["spec"] = {**body["spec"], **changes}
    site.put(VOLUME, body)
    assert stopped(prepared(site)) == "volume-differs"


def test_a_ticket_of_another_run_is_not_taken_over(fast_path: Path) -> None:
    """LHR-106: the same ticket, for another node."""
    site = quiet(fast_path)
    site.put(VOLUME, {"spec": {}, "status": {"state": "detached"}})
    site.put(HOLDER, {"spec": {"volume": PV, "attachmentTickets": {TICKET: {"id": TICKET, "nodeID": "node2"}}}})
    step = decide_attach(seen(site), site.volumes[0], site.settings, "node1")
    assert stopped(step) == "ticket-elsewhere"
    assert decide_attach(seen(site), site.volumes[0], site.settings, "node2") != step


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"csi": {"volumeHandle": "pvc-other"}}, "pv-differs"),
        ({"claimRef": {"namespace": "shop", "name": "data-other-0"}}, "pv-taken"),
    ],
)
def test_a_persistent_volume_of_somebody_else_stays_his(spec: dict[str, Any], code: str, fast_path: Path) -> None:
    """LHR-140, LHR-142"""
    site = quiet(fast_path)
    body = pv_manifest(site.volumes[0], site.settings, None)
    site.put(Ref("PersistentVolume", PV), {**body, "spec": {**body["spec"], **spec}})
    site.put(VOLUME, {})
    assert stopped(decide_bind(seen(site), site.volumes[0], site.settings)) == code


@pytest.mark.parametrize(("size", "empty"), [(8 << 20, True), ((8 << 20) + 1, False)])
def test_how_little_is_empty_is_the_site_s_to_say(size: int, empty: bool, fast_path: Path) -> None:
    """LHR-146, DT-6: and never more than an eighth of the volume."""
    big = volume(size_bytes=str(1 << 30), size_human="1Gi")
    site = quiet(fast_path, big, empty_volume_bytes=8 << 20)
    site.put(CLAIM, {"spec": {"volumeName": "pvc-new"}, "status": {"phase": "Bound"}})
    pv = pv_manifest(big, site.settings, None) | {"status": {"phase": "Available"}}
    site.put(Ref("PersistentVolume", PV), pv)
    site.put(VOLUME, {"spec": {}})
    site.clock.time_now += 60
    site.put(Ref("longhorn.Volume", "pvc-new", NAMESPACE), {"spec": {}, "status": {"actualSize": size}})
    step = decide_bind(seen(site), big, site.settings)
    if empty:
        assert isinstance(step, Act)
        assert isinstance(step.action, Delete)
    else:
        assert stopped(step) == "claim-elsewhere"


def test_a_volume_that_seems_empty_outlives_its_claim(fast_path: Path) -> None:
    """LHR-146: with a class that deletes, the few rows that may be in it would go with the claim (INV-008)."""
    big = volume(size_bytes=str(1 << 30), size_human="1Gi")
    site = quiet(fast_path, big)
    site.put(CLAIM, {"spec": {"volumeName": "pvc-new"}, "status": {"phase": "Bound"}})
    site.put(Ref("PersistentVolume", PV), pv_manifest(big, site.settings, None) | {"status": {"phase": "Available"}})
    site.put(VOLUME, {"spec": {}})
    site.clock.time_now += 60
    site.put(Ref("longhorn.Volume", "pvc-new", NAMESPACE), {"spec": {}, "status": {"actualSize": 1 << 20}})
    other = Ref("PersistentVolume", "pvc-new")
    site.put(other, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    step = decide_bind(seen(site), big, site.settings)
    assert isinstance(step, Act)
    assert step.action == Patch(other, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    site.cluster.objects[other]["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    step = decide_bind(seen(site), big, site.settings)
    assert isinstance(step, Act)
    assert isinstance(step.action, Delete)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_device_is_left_to_look_at_where_that_is_asked_for(keeps: bool, fast_path: Path) -> None:
    """LHR-133: after a failure; otherwise the ticket is given back."""
    site = make_site(fast_path, keep_attached_on_failure=keeps)
    node = site.nodes["node1"]

    def copy(*_arguments: str) -> Any:
        return type("Completed", (), {"status": 1, "out": "", "err": "rsync is missing"})()

    node._copy = copy  # type: ignore[method-assign, assignment]
    (found,) = site.run().volumes
    assert found.outcome is Outcome.FAILED
    tickets = site.cluster.objects[HOLDER]["spec"]["attachmentTickets"]
    assert (set(tickets) == {TICKET}) is keeps
    assert any("keep_attached_on_failure" in warning for warning in found.warnings) is keeps


def two_workloads(root: Path, **second: Any) -> Site:
    """Two workloads of one Application that heals itself, each with a volume."""
    values = {"pv_name": OTHER_PV, "pvc_name": "data-db-0", "workload_name": "db", **second}
    site = make_site(root, volume(), volume(**values))
    site.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["claims"] = ["data-web-0"]
    site.put(Ref("StatefulSet", "db", "shop"), {"spec": {"replicas": 1, "claims": ["data-db-0"]}})
    for name in ("web", "db"):
        workload = site.cluster.objects[Ref("StatefulSet", name, "shop")]
        workload["metadata"]["labels"] = {"app.kubernetes.io/instance": "shop"}
    site.put(APPLICATION, {"spec": {"syncPolicy": {"automated": {"selfHeal": True}}}})
    return site


def heals_itself(site: Site) -> bool:
    found: bool = site.cluster.objects[APPLICATION]["spec"]["syncPolicy"]["automated"]["selfHeal"]
    return found


def test_self_healing_waits_for_every_volume_behind_it(fast_path: Path) -> None:
    """CLR-041, PIT-10, PIT-20: it would start the other workload too, on a claim that is not there yet."""
    site = two_workloads(fast_path)
    holder = Ref("longhorn.VolumeAttachment", OTHER_PV, NAMESPACE)
    site.put(holder, {"spec": {"volume": OTHER_PV, "attachmentTickets": {"csi-1": {"nodeID": "node2"}}}})
    report = site.run()
    assert [item.outcome for item in report.volumes] == [Outcome.RECOVERED, Outcome.FAILED]
    assert site.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["replicas"] == 2
    assert not heals_itself(site)
    (paused,) = report.paused
    assert f"{OTHER_PV} is not recovered" in paused
    site.cluster.objects[holder]["spec"]["attachmentTickets"] = {}
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert heals_itself(site)
    assert report.paused == []


def test_self_healing_does_not_start_what_must_stay_down(fast_path: Path) -> None:
    """VAR-006, FM-30, CLR-041"""
    site = two_workloads(fast_path, scale_up=False)
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert not heals_itself(site)
    assert site.cluster.objects[Ref("StatefulSet", "db", "shop")]["spec"]["replicas"] == 0
    (paused,) = report.paused
    assert "stays down, as scale_up: false asks" in paused


def test_a_claim_that_goes_later_keeps_its_finalizers_until_nobody_uses_it(fast_path: Path) -> None:
    """INV-005: somebody deletes the claim of a recovered volume, whose workload runs, and the run is made again."""
    site = make_site(fast_path)
    assert site.run().outcome is Outcome.RECOVERED
    claim = site.cluster.objects[CLAIM]["metadata"]
    claim |= {"deletionTimestamp": "2026-01-02T00:00:00+00:00", "finalizers": ["kubernetes.io/pvc-protection"]}
    site.cluster.mutations.clear()
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    steps = [step.partition(" {")[0] for step in site.cluster.mutations]
    stopped, freed = steps.index("patch StatefulSet shop/web"), steps.index(f"patch {CLAIM}")
    assert stopped < freed
    assert site.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["replicas"] == 2
    assert site.cluster.objects[CLAIM]["spec"]["volumeName"] == PV
    assert site.devices[PV].formats == 1
