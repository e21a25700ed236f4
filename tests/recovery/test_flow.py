"""The whole flow over a folder for a node and an API server in memory: what is done, in which order, what is not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from components.longhorn.flow.interfaces import Ref
from components.longhorn.flow.marks import COMPLETE, REPLICAS, SOURCE
from components.longhorn.flow.recover import PreflightError
from components.longhorn.flow.report import Outcome
from tests.support.fake_longhorn import NAMESPACE, Manners
from tests.support.recovery_site import FILES, PV, Site, make_site, volume


def test_from_a_lost_control_plane_to_the_files(fast_path: Path) -> None:
    site = make_site(fast_path, volume(verify_cmd="cat '/data/it''s here'"))
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert site.restored() == FILES
    claim = site.cluster.get(Ref("PersistentVolumeClaim", "data-web-0", "shop"))
    assert claim is not None
    assert claim["status"]["phase"] == "Bound"
    assert claim["spec"]["volumeName"] == PV
    pv = site.cluster.get(Ref("PersistentVolume", PV))
    assert pv is not None
    assert pv["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert pv["spec"]["csi"]["volumeHandle"] == PV
    present = site.cluster.get(Ref("longhorn.Volume", PV, NAMESPACE))
    assert present is not None
    assert present["spec"] == {
        "accessMode": "rwo",
        "dataEngine": "v1",
        "frontend": "blockdev",
        "numberOfReplicas": 3,
        "size": str(4 << 20),
    }
    assert COMPLETE in present["metadata"]["annotations"]
    # The command keeps its quotes (DEF-16), and it ran in a pod of the workload.
    assert site.cluster.commands == [("web-0", "cat '/data/it''s here'")]
    told = json.loads(json.dumps(report.as_dict()))["volumes"][0]
    assert told["timeline"]
    # LHR-055, LHR-060: what was recovered, for a person who knows the volume.
    assert set(told["content"]["root"]) >= {name.partition("/")[0] for name in FILES}
    assert [layer["wins"] > 0 for layer in told["content"]["layers"]] == [True, True]
    assert told["content"]["data_bytes"] > 0
    assert told["content"]["check"] in {"clean", "not run"}
    assert told["content"]["uuid"]


def test_mutations_happen_in_the_required_order(fast_path: Path) -> None:
    """LHT-014: data first, then scale down, claim, Volume, ticket, format, copy, ticket away, PV, claim."""
    site = make_site(fast_path)
    order: list[str] = []
    for node in site.nodes.values():
        node.commands = order
    site.cluster.mutations = order
    site.run()
    wanted = [
        "scan",
        "backup",
        "merge",
        "test-mount",
        "patch StatefulSet shop/web {'metadata': {'annotations': {'recovery.factory/replicas': '2'}}",
        "patch PersistentVolumeClaim shop/data-web-0",
        f"create Longhorn Volume {NAMESPACE}/{PV}",
        f"patch Longhorn VolumeAttachment {NAMESPACE}/{PV} {{'spec'",
        "format",
        "copy",
        "marker",
        f"patch Longhorn Volume {NAMESPACE}/{PV}",
        f"patch Longhorn VolumeAttachment {NAMESPACE}/{PV} [",
        f"create PersistentVolume {PV}",
        "create PersistentVolumeClaim shop/data-web-0",
        "patch StatefulSet shop/web {'metadata': {'annotations': {'recovery.factory/replicas': None}}",
    ]
    places = [next(i for i, done in enumerate(order) if done.startswith(step)) for step in wanted]
    assert places == sorted(places), order
    changes = [step for step in order if step.startswith(("patch", "create", "delete", "replace"))]
    assert len(changes) == 9, changes


def test_no_mutation_when_the_preflight_fails(fast_path: Path) -> None:
    """LHT-014, and all problems at once."""
    site = make_site(fast_path)
    site.cluster.remove(Ref("Pod", "longhorn-manager-node2", NAMESPACE))
    site.cluster.remove(Ref("CSIDriver", "driver.longhorn.io"))
    site.nodes["node3"].lacking = ("rsync",)
    site.put(Ref("longhorn.Setting", "orphan-resource-auto-deletion", NAMESPACE), {"value": "replica-data"})
    with pytest.raises(PreflightError) as error:
        site.run()
    text = str(error.value)
    for part in ("node2", "driver.longhorn.io", "node3: rsync", "orphan-resource-auto-deletion"):
        assert part in text
    assert site.cluster.mutations == []
    assert not any("backup" in node.commands for node in site.nodes.values())


def test_nothing_without_consent_for_each_volume(fast_path: Path) -> None:
    site = make_site(fast_path)
    with pytest.raises(PreflightError, match="--volume"):
        site.recovery(named=set()).run()
    assert site.cluster.mutations == []
    assert all(node.commands == [] for node in site.nodes.values())


def test_a_dry_run_only_reads(fast_path: Path) -> None:
    """INV-015."""
    site = make_site(fast_path)
    ranking = site.recovery().discover()[0]
    assert ranking.best is not None
    assert ranking.best.directory.endswith("-0a1b2c3d")
    assert site.cluster.mutations == []
    assert {step for node in site.nodes.values() for step in node.commands} == {"tools", "scan"}


def test_def_20_the_source_is_never_written(fast_path: Path) -> None:
    """DEF-20, INV-001: bytes, extents and times of the replica directories are the same afterwards."""
    site = make_site(fast_path)
    replicas = site.replicas

    def state() -> dict[str, tuple[int, int, int, bytes]]:
        files = [path for path in sorted(replicas.rglob("*")) if path.is_file()]
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_blocks, path.stat().st_mode, path.read_bytes())
            for path in files
        }

    before, names = state(), sorted(replicas.iterdir())
    site.run()
    assert state() == before
    assert sorted(replicas.iterdir()) == names


def test_a_run_says_first_what_it_is_about(fast_path: Path) -> None:
    """LHR-014; LHR-018: a copy on the original's disk is said, and is no reason to stop."""
    site = make_site(fast_path)
    told: list[tuple[str, str]] = []
    report = site.recovery(told=lambda name, phase: told.append((name, phase))).run()
    assert told[0] == ("preflight", f"3 longhorn-manager pods are Running; 1 volumes: {PV}")
    assert told[0][1] in Path(report.evidence).read_text()
    (note,) = report.as_dict()["volumes"][0]["notes"]
    assert "one broken disk takes both" in note
    assert f"  note: {note}" in report.text()
    assert report.outcome is Outcome.RECOVERED


def test_a_second_run_changes_nothing(fast_path: Path) -> None:
    site = make_site(fast_path)
    site.run()
    site.cluster.mutations.clear()
    assert site.run().outcome is Outcome.RECOVERED
    assert site.cluster.mutations == []
    assert site.devices[PV].formats == 1


def test_a_second_run_without_its_journal_changes_nothing(fast_path: Path) -> None:
    """The marks on the objects and the device are the journal on the cluster (DRV-003)."""
    site = make_site(fast_path)
    site.run()
    for path in (fast_path / "state" / "journal").iterdir():
        path.unlink()
    site.cluster.mutations.clear()
    assert site.run().outcome is Outcome.RECOVERED
    assert site.cluster.mutations == []
    assert site.devices[PV].formats == 1


@pytest.mark.parametrize(
    "manners",
    [
        Manners(wrong_node_first=True),
        Manners(slow=5),
        Manners(loses_volume_once=True),
        Manners(recreates_claims=True),
    ],
    ids=["wrong node", "slow", "loses the volume", "re-creates claims"],
)
def test_it_converges_against_bad_manners(fast_path: Path, manners: Manners) -> None:
    site = make_site(fast_path, manners=manners)
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert site.restored() == FILES
    assert site.devices[PV].formats == 1


def test_def_11_a_workload_that_does_not_stop_aborts_before_the_claim(fast_path: Path) -> None:
    """DEF-11: an error on the way down is never ignored."""
    site = make_site(fast_path, manners=Manners(keeps_pods=True))
    site.put(
        Ref("Pod", "web-0", "shop"),
        {
            "metadata": {"ownerReferences": [{"uid": _uid(site, "web"), "kind": "StatefulSet", "name": "web"}]},
            "status": {"phase": "Running"},
        },
    )
    report = site.run()
    assert report.outcome is Outcome.FAILED
    assert report.volumes[0].code == "timeout"
    assert "web-0" in report.volumes[0].error
    assert not any("PersistentVolumeClaim" in step or "create" in step for step in site.cluster.mutations)
    workload = site.cluster.get(Ref("StatefulSet", "web", "shop"))
    assert workload is not None
    assert workload["metadata"]["annotations"][REPLICAS] == "2"


def test_an_unschedulable_volume_says_why_and_gives_nothing_away(fast_path: Path) -> None:
    site = make_site(fast_path, manners=Manners(never_schedules=True))
    report = site.run()
    assert "disk full" in report.volumes[0].error
    assert report.volumes[0].phase == "merge"
    assert site.devices == {}


def test_one_bad_volume_leaves_the_others_alone(fast_path: Path) -> None:
    """LHR-008; and the workload that both belong to is not started."""
    second = "pvc-00000000-0000-4000-8000-000000000002"
    other = volume(pv_name=second, pvc_name="other", workload_name="")
    site = make_site(fast_path, volume(), other, manners=Manners())
    site.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["claims"] = ["data-web-0"]
    site.nodes["node1"].unmountable = {second}
    report = site.run()
    outcomes = {item.pv_name: item.outcome for item in report.volumes}
    assert outcomes == {PV: Outcome.RECOVERED, second: Outcome.FAILED}
    assert site.restored() == FILES


def test_volumes_of_one_workload_start_it_once_when_all_are_ready(fast_path: Path) -> None:
    """VAR-007: the entry without a name belongs to the workload that mounts its claim."""
    second = "pvc-00000000-0000-4000-8000-000000000002"
    site = make_site(fast_path, volume(pv_name=second, pvc_name="data-web-1", workload_name=""), volume())
    templates = [{"metadata": {"name": "data"}}]
    site.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["volumeClaimTemplates"] = templates
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    scaled = [step for step in site.cluster.mutations if step.startswith("patch StatefulSet")]
    assert len(scaled) == 2
    up = site.cluster.mutations.index(scaled[1])
    assert up > max(i for i, step in enumerate(site.cluster.mutations) if "create PersistentVolumeClaim" in step)


def test_the_next_candidate_is_taken_when_the_best_does_not_mount(fast_path: Path) -> None:
    """LHR-034, FM-06."""
    site = make_site(fast_path)
    replicas = site.replicas
    better = replicas / f"{PV}-ffffffff"
    better.mkdir()
    for path in (replicas / f"{PV}-0a1b2c3d").iterdir():
        (better / path.name).write_bytes(path.read_bytes() if path.suffix == ".meta" else b"")
    for name in ("volume-head-001.img", "volume-snap-first.img"):
        (better / name).write_bytes(os.urandom(4 << 20))
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert report.volumes[0].source.endswith("-0a1b2c3d")
    assert report.volumes[0].candidates[0]["directory"] == better.name


def test_a_self_healing_application_is_paused_and_resumed(fast_path: Path) -> None:
    """LHR-019, CLR-041."""
    site = make_site(fast_path)
    workload = site.cluster.objects[Ref("StatefulSet", "web", "shop")]
    workload["metadata"]["labels"] = {"app.kubernetes.io/instance": "shop"}
    automated = {"selfHeal": True, "prune": True}
    site.put(Ref("Application", "shop", "argocd"), {"spec": {"syncPolicy": {"automated": automated}}})
    assert site.run().outcome is Outcome.RECOVERED
    application = site.cluster.get(Ref("Application", "shop", "argocd"))
    assert application is not None
    assert application["spec"]["syncPolicy"]["automated"] == {"selfHeal": True, "prune": True}
    touched = [step for step in site.cluster.mutations if "Application" in step]
    assert len(touched) == 2
    assert site.cluster.mutations[0] == touched[0]


def test_the_evidence_tells_each_action_with_its_outcome(fast_path: Path) -> None:
    """INC-005."""
    site = make_site(fast_path)
    report = site.run()
    lines = [json.loads(line) for line in Path(report.evidence).with_suffix(".jsonl").read_text().splitlines()]
    commands = [line["command"] for line in lines]
    assert "scale StatefulSet shop/web from 2 to 0" in commands
    assert commands[-1] == "run complete"
    assert all(set(line) == {"time", "volume", "phase", "command", "decision", "outcome", "next"} for line in lines)
    assert "scale StatefulSet shop/web" in Path(report.evidence).read_text()


def test_a_live_directory_is_no_source(fast_path: Path) -> None:
    """INV-013, DEF-12: what a live Replica refers to is a target, found by its own field (GLK-016)."""
    site = make_site(fast_path)
    site.put(
        Ref("longhorn.Replica", f"{PV}-r-99999999", NAMESPACE),
        {"metadata": {"labels": {"longhornvolume": PV}}, "spec": {"dataDirectoryName": f"{PV}-0a1b2c3d"}},
    )
    with pytest.raises(PreflightError, match="live Replica"):
        site.run()
    assert site.cluster.mutations == []


def test_a_volume_of_somebody_else_is_refused(fast_path: Path) -> None:
    """LHR-002, INV-011."""
    site = make_site(fast_path)
    site.put(Ref("longhorn.Volume", PV, NAMESPACE), {"spec": {"size": str(4 << 20)}})
    with pytest.raises(PreflightError, match="control plane"):
        site.run()
    assert site.cluster.mutations == []


def _uid(site: Site, name: str) -> str:
    found = site.cluster.get(Ref("StatefulSet", name, "shop"))
    assert found is not None
    return str(found["metadata"]["uid"])


def test_the_mark_names_the_source(fast_path: Path) -> None:
    site = make_site(fast_path)
    report = site.run()
    present = site.cluster.get(Ref("longhorn.Volume", PV, NAMESPACE))
    assert present is not None
    assert present["metadata"]["annotations"][SOURCE].endswith(f"{report.volumes[0].source.replace(':', '/')}")


def test_labels_and_attributes_come_back_from_the_dump(fast_path: Path) -> None:
    """LHR-147, LHR-148: otherwise the next sync would fight the object."""
    site = make_site(fast_path)
    claim = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "spec": {"storageClassName": "slow"}}
    pv = {"spec": {"csi": {"volumeAttributes": {"numberOfReplicas": "2"}}, "storageClassName": "slow"}}
    assert site.recovery(dumped=lambda _volume: (pv, claim)).run().outcome is Outcome.RECOVERED
    made = site.cluster.get(Ref("PersistentVolumeClaim", "data-web-0", "shop"))
    assert made is not None
    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "Helm"}
    assert made["spec"]["storageClassName"] == "slow"
    volume_made = site.cluster.get(Ref("PersistentVolume", PV))
    assert volume_made is not None
    assert volume_made["spec"]["csi"]["volumeAttributes"] == {"numberOfReplicas": "2"}
