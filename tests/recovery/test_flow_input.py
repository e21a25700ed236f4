"""The input of the flow, its ranking, and the small decisions that no whole run shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from components.longhorn.flow.decide_bind import claim_manifest, decide_bind, pv_manifest
from components.longhorn.flow.decide_data import (
    Candidate,
    DeviceFacts,
    Paths,
    copy_outcome,
    decide_inject,
    judge_image,
    parse_probe,
    rank,
)
from components.longhorn.flow.decide_start import ready_pod, replicas_after, verification
from components.longhorn.flow.decide_stop import decide_quiet, strip_terminating
from components.longhorn.flow.describe import described_plan, steps_of
from components.longhorn.flow.facts import ClusterFacts, observe
from components.longhorn.flow.interfaces import Ref
from components.longhorn.flow.journal import redacted
from components.longhorn.flow.marks import device_uuid
from components.longhorn.flow.recover import PreflightError
from components.longhorn.flow.report import Outcome
from components.longhorn.flow.steps import Act, Delete, Done, Stop
from components.longhorn.flow.volumes import InvalidInputError, VolumeInput, parse, quantity_bytes
from tests.support.fake_longhorn import NAMESPACE, Manners
from tests.support.recovery_site import FILES, PV, SIZE, make_site, volume

SECOND = "pvc-00000000-0000-4000-8000-000000000002"


def entry(**changes: Any) -> dict[str, Any]:
    return {**volume().model_dump(mode="json", exclude_defaults=True), **changes}


def problems(*entries: dict[str, Any]) -> str:
    with pytest.raises(InvalidInputError) as error:
        parse({"longhorn_recovery_volumes": list(entries)})
    return str(error.value)


@pytest.mark.parametrize("document", [None, {}, [], "text", {"longhorn_recovery_volumes": []}])
def test_no_volumes_is_an_error_at_once(document: Any) -> None:
    """VAR-001, FM-01."""
    with pytest.raises(InvalidInputError, match="VAR-001"):
        parse(document)


def test_the_described_format_is_read_unchanged() -> None:
    """VAR-008."""
    text = """
longhorn_recovery_volumes:
  - {pv_name: pvc-aaaaaaaa-0000-4000-8000-000000000001, pvc_name: store-cache-0, namespace: tools,
     size_bytes: "1073741824", size_human: 1Gi, access_mode: ReadWriteOnce,
     workload_kind: StatefulSet, workload_name: cache, verify_cmd: "cache-cli ping"}
  - {pv_name: pvc-aaaaaaaa-0000-4000-8000-000000000002, pvc_name: office, namespace: office,
     size_bytes: "53687091200", size_human: 50Gi, access_mode: readwritemany,
     workload_kind: Deployment, workload_name: "", verify_cmd: ""}
"""
    first, second = parse(yaml.safe_load(text))
    assert first.longhorn_access_mode == "rwo"
    assert second.longhorn_access_mode == "rwx"
    assert second.workload_name == ""


def test_all_mistakes_are_reported_together() -> None:
    """VAR-010."""
    text = problems(
        entry(size_human="2Gi"),
        entry(source_dir="../etc", pv_name=SECOND),
        entry(namespace="Shop!", acess_mode="x"),
        entry(access_mode="ReadOnlyMany"),
        entry(workload_kind="Job"),
        entry(workload_name="", verify_cmd="true"),
    )
    for part in ("differ", "no replica directory", "namespace", "acess_mode", "ReadOnlyMany", "Job", "DEF-16"):
        assert part in text, part


def test_the_volumes_of_one_workload_want_the_same_of_it() -> None:
    """VAR-008: each says the whole, so that no order of the entries matters; what contradicts is not guessed."""
    other = {"pv_name": SECOND, "pvc_name": "data-web-1"}
    awaited = {"kind": "StatefulSet", "namespace": "shop", "name": "vault"}
    together = [entry(scale_up_after=[awaited]), entry(**other, scale_up_after=[awaited])]
    one, two = parse({"longhorn_recovery_volumes": together})
    assert one.workload == two.workload
    assert str(one.workload) == "StatefulSet shop/web"
    text = problems(entry(scale_up=False, replicas_after=2), entry(**other))
    assert f"StatefulSet shop/web: {PV} and {SECOND} differ in scale_up, replicas_after" in text
    assert "there is no workload that could wait" in problems(entry(workload_name="", scale_up_after=[awaited]))


@pytest.mark.parametrize("names", [["web"], ["web", "db"]])
def test_workloads_that_wait_for_each_other_are_refused(names: list[str]) -> None:
    entries = [
        entry(
            pv_name=f"{PV[:-1]}{index}",
            pvc_name=f"data-{name}",
            workload_name=name,
            scale_up_after=[{"kind": "StatefulSet", "namespace": "shop", "name": names[index - 1]}],
        )
        for index, name in enumerate(names)
    ]
    assert "these wait for each other: StatefulSet shop/web" in problems(*entries)


def test_duplicates_are_refused() -> None:
    assert "given 2 times" in problems(entry(), entry())


def test_def_15_paths_of_two_namespaces_do_not_collide() -> None:
    settings = make_settings()
    one, two = volume(), volume(namespace="other")
    paths = [Paths.of(item, settings, f"{PV}-0a1b2c3d") for item in (one, two)]
    for name in ("backup", "image", "marker", "mounts"):
        assert getattr(paths[0], name) != getattr(paths[1], name)


def make_settings(**changes: Any) -> Any:
    from components.longhorn.flow.volumes import FlowSettings  # noqa: PLC0415 - used here alone

    base = {"nodes": ["node1", "node2"], "data_path": "/srv/l", "backup_base": "/srv/b", "merged_base": "/srv/m"}
    return FlowSettings.model_validate({**base, **changes})


@pytest.mark.parametrize("name", ["backup_base", "merged_base", "mount_base"])
def test_nothing_may_be_kept_among_the_replicas(name: str) -> None:
    with pytest.raises(ValueError, match="INV-001"):
        make_settings(**{name: "/srv/l/replicas/x"})


@pytest.mark.parametrize(
    ("text", "size"), [("128Mi", 128 << 20), ("1Gi", 1 << 30), ("1.5Gi", 3 << 29), ("1G", 10**9), ("7", 7)]
)
def test_quantities(text: str, size: int) -> None:
    assert quantity_bytes(text) == size


@pytest.mark.parametrize("text", ["", "1.3", "Gi", "-1Gi", "1 Gi", "1gi"])
def test_other_quantities_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        quantity_bytes(text)


def directory(name: str = f"{PV}-00000001", **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "actual": 900 * 1024,
        "size": SIZE,
        "newest_mtime_ns": 1_700_000_000 * 10**9,
        "head_mtime_ns": 1_700_000_000 * 10**9,
        "dirty": True,
        "layers": [{}, {}],
        "findings": [],
    }
    return found | changes


def chosen(*scanned: tuple[str, dict[str, Any]], **changes: Any) -> Candidate | None:
    return rank(scanned, volume(**changes), make_settings()).best


@pytest.mark.parametrize(("kib", "usable"), [(15, False), (16, False), (17, True)])
def test_def_02_the_threshold_is_16_kib(kib: int, usable: bool) -> None:
    assert (chosen(("node1", directory(actual=kib * 1024))) is not None) == usable


def test_def_03_sizes_are_mebibytes() -> None:
    ranking = rank([("node1", directory(actual=3 << 20))], volume(), make_settings())
    assert "(3.0 MiB)" in described_plan(volume(), ranking, [])
    assert ranking.candidates[0].as_dict()["actual_mib"] == 3.0


def test_the_order_of_candidates() -> None:
    """DT-4: size, then the newest, then clean before dirty, the order of the nodes, the name; refused ones last."""
    hour = 3600 * 10**9
    scanned = [
        ("node2", directory(f"{PV}-00000001")),
        ("node1", directory(f"{PV}-00000002", newest_mtime_ns=1_700_000_000 * 10**9 + hour)),
        ("node1", directory(f"{PV}-00000003", dirty=False)),
        ("node1", directory(f"{PV}-00000004", actual=2 << 20)),
        ("node1", directory(f"{PV}-00000005", actual=9 << 20, findings=[finding("rebuilding", "refused")])),
        ("node1", directory(f"{PV}-00000006")),
        ("node1", directory(f"{PV}-0000000x")),
        ("node1", directory(f"{PV}-00000007.empty")),
        ("node1", directory(f"{SECOND}-00000008")),
    ]
    ranking = rank(scanned, volume(), make_settings())
    assert [item.directory[-1] for item in ranking.candidates] == ["4", "2", "3", "6", "1", "5"]
    assert "rebuilding" in ranking.candidates[-1].reasons[0]


def finding(code: str, severity: str) -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": code, "accepted": False}


def test_a_stale_winner_is_flagged() -> None:
    """LHR-035."""
    scanned = [
        ("node1", directory(f"{PV}-00000001", actual=9 << 20)),
        ("node2", directory(f"{PV}-00000002", head_mtime_ns=1_700_100_000 * 10**9)),
    ]
    ranking = rank(scanned, volume(), make_settings())
    assert ranking.best is not None
    assert ranking.best.directory.endswith("1")
    assert "node2" in ranking.warnings[0]


def test_def_13_one_override_restricts_and_is_never_ignored() -> None:
    scanned = [
        ("node1", directory(f"{PV}-00000001", actual=9 << 20)),
        ("node2", directory(f"{PV}-00000002")),
        ("node2", directory(f"{PV}-00000003", actual=2 << 20)),
    ]
    by_node = chosen(*scanned, source_node="node2")
    by_name = chosen(*scanned, source_dir=f"{PV}-00000002")
    both = chosen(*scanned, source_node="node1", source_dir=f"{PV}-00000002")
    assert by_node is not None
    assert by_node.directory.endswith("3")
    assert by_name is not None
    assert by_name.node == "node2"
    assert both is None


def test_another_size_is_refused_unless_smaller_and_allowed() -> None:
    assert chosen(("node1", directory(size=SIZE // 2))) is None
    assert chosen(("node1", directory(size=SIZE // 2)), allow_resize=True) is not None
    assert chosen(("node1", directory(size=SIZE * 2)), allow_resize=True) is None


def test_what_changed_after_the_incident_is_refused() -> None:
    settings = make_settings(incident_time="2023-11-14T00:00:00+00:00")
    assert rank([("node1", directory())], volume(), settings).best is None


def device(**changes: Any) -> DeviceFacts:
    own = device_uuid(PV, "digest")
    values: dict[str, Any] = {"block": True, "size": SIZE, "kind": "ext4", "uuid": own, "complete": ""}
    return DeviceFacts(**values | changes)


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        (device(kind="", uuid=""), "format"),
        (device(), False),
        (device(complete=device_uuid(PV, "digest")), True),
        (device(uuid=device_uuid(PV, "another")), "device-foreign"),
        (device(uuid="11111111-1111-1111-1111-111111111111"), "device-foreign"),
        (device(kind="xfs"), "device-foreign"),
        (device(block=False), "no-device"),
        (device(size=SIZE - 1), "device-size"),
    ],
    ids=["empty", "ours", "complete", "other source", "not ours", "xfs", "no device", "other size"],
)
def test_each_row_of_the_injection(facts: DeviceFacts, outcome: str | bool) -> None:
    """DT-5, INV-011, FM-14."""
    step = decide_inject(facts, volume(), Paths.of(volume(), make_settings(), "d"), "digest")
    if isinstance(step, Act):
        assert outcome == "format"
        assert step.destructive
    elif isinstance(step, Stop):
        assert step.code == outcome
    else:
        assert isinstance(step, Done)
        assert step.result["complete"] is outcome


def test_the_probe_is_read() -> None:
    text = "block=yes\nsize=42\nUUID=u\nTYPE=ext4\ncomplete=u\n"
    assert parse_probe(text) == DeviceFacts(block=True, size=42, kind="ext4", uuid="u", complete="u")
    assert parse_probe("block=no\n") == DeviceFacts(block=False, size=0, kind="", uuid="", complete="")


COPIED = "rsync={}\ncompared=0\ndiffering={}\nfiles=3\nbytes=9\nfsck=0\n"


def test_rsync_0_is_success_and_23_a_warning_with_the_files() -> None:
    """LHR-113, FM-16."""
    assert copy_outcome(COPIED.format(0, 0), volume()) == Done({"files": 3, "bytes": 9, "messages": []})
    text = COPIED.format(23, 1) + "unreadable=rsync: read errors mapping x: Structure needs cleaning (117)\ndiffers=x\n"
    outcome = copy_outcome(text, volume())
    assert isinstance(outcome, Done)
    assert outcome.warnings == ("not copied: x",)


@pytest.mark.parametrize(
    ("text", "changes", "code"),
    [
        (COPIED.format(24, 0), {}, "copy-failed"),
        (COPIED.format(12, 0), {}, "copy-failed"),
        ("", {}, "copy-failed"),
        (COPIED.format(0, 1) + "differs=x\n", {}, "copy-differs"),
        (COPIED.format(23, 1) + "differs=x\n", {"max_unreadable_files": 0}, "unreadable-files"),
        (COPIED.format(0, 0).replace("fsck=0", "fsck=4"), {}, "device-damaged"),
    ],
)
def test_everything_else_stops(text: str, changes: dict[str, Any], code: str) -> None:
    """LHR-113, LHR-116, FM-17, OQ-19."""
    outcome = copy_outcome(text, volume(**changes))
    assert isinstance(outcome, Stop)
    assert outcome.code == code


def test_unreadable_files_are_recovered_with_warnings(fast_path: Path) -> None:
    site = make_site(fast_path)
    site.nodes["node1"].rsync_status = 23
    site.nodes["node1"].unreadable = ("folder/notes.txt",)
    report = site.run()
    assert report.outcome is Outcome.WARNINGS
    assert report.volumes[0].warnings == ["not copied: folder/notes.txt"]


@pytest.mark.parametrize(
    ("system", "why"),
    [
        ({"kind": "xfs", "offset": 0, "root": [], "problems": []}, "RDM-12"),
        ({"kind": "luks", "offset": 0, "root": [], "problems": ["encrypted: ..."]}, "encrypted"),
        ({"kind": "ext", "offset": 0, "root": [], "problems": ["damaged"]}, "damaged"),
        ({"kind": "ext", "offset": 1 << 20, "root": ["x"], "problems": []}, "partition"),
    ],
)
def test_an_image_that_is_no_file_system_of_ours_is_refused(system: dict[str, Any], why: str) -> None:
    """LHR-058, RDM-12."""
    with pytest.raises(ValueError, match=why):
        judge_image({"file_systems": [system]})


def seen(site: Any, item: VolumeInput | None = None) -> ClusterFacts:
    return observe(site.cluster, item or site.volumes[0], site.settings)


def test_def_14_a_healthy_pv_keeps_its_finalizers(fast_path: Path) -> None:
    site = make_site(fast_path)
    site.cluster.objects.pop(Ref("PersistentVolumeClaim", "data-web-0", "shop"))
    site.put(Ref("PersistentVolume", PV), {"metadata": {"finalizers": ["kubernetes.io/pv-protection"]}, "spec": {}})
    assert strip_terminating(seen(site), site.settings) is None
    site.cluster.remove(Ref("PersistentVolume", PV))
    step = strip_terminating(seen(site), site.settings)
    assert isinstance(step, Act)
    assert step.destructive
    assert "PersistentVolume" in step.what


def test_def_17_only_failed_pods_that_mount_the_claim_go(fast_path: Path) -> None:
    site = make_site(fast_path)
    site.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["replicas"] = 0
    site.cluster.objects[Ref("StatefulSet", "web", "shop")]["metadata"]["annotations"] = {
        "recovery.factory/replicas": "2"
    }
    mounts = {"volumes": [{"persistentVolumeClaim": {"claimName": "data-web-0"}}]}
    site.put(Ref("Pod", "failed", "shop"), {"spec": mounts, "status": {"phase": "Failed"}})
    site.put(Ref("Pod", "unrelated", "shop"), {"spec": {}, "status": {"phase": "Failed"}})
    step = decide_quiet(seen(site), site.volumes[0], site.settings)
    assert isinstance(step, Act)
    assert isinstance(step.action, Delete)
    assert step.action.ref.name == "failed"
    site.cluster.remove(step.action.ref)
    assert isinstance(decide_quiet(seen(site), site.volumes[0], site.settings), Done)


def test_a_pod_of_nobody_knows_workload_stops_the_volume(fast_path: Path) -> None:
    """VAR-006, VAR-008: a blank name still guarantees that nothing mounts the claim."""
    site = make_site(fast_path, volume(workload_name=""))
    mounts = {"volumes": [{"persistentVolumeClaim": {"claimName": "data-web-0"}}]}
    site.put(Ref("Pod", "somebody", "shop"), {"spec": mounts, "status": {"phase": "Running"}})
    site.cluster.objects[Ref("StatefulSet", "web", "shop")]["spec"]["claims"] = []
    report = site.run()
    assert report.volumes[0].code == "in-use"
    assert "somebody" in report.volumes[0].error
    assert not any(step.startswith(("create", "delete")) for step in site.cluster.mutations)


@pytest.mark.parametrize(
    ("after", "recorded", "count"),
    [("restore", "3", 3), ("restore", "0", 1), ("restore", "x", 1), ("restore", "", 0), (5, "3", 5), (0, "3", 0)],
)
def test_def_18_replicas_come_back_as_they_were(after: Any, recorded: str, count: int) -> None:
    assert replicas_after(volume(replicas_after=after), recorded) == count


def test_def_16_the_command_is_one_argument_in_a_ready_pod_of_any_name() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    pods = [
        {"metadata": {"name": "web-5d7c-a"}, "status": {"conditions": []}},
        {"metadata": {"name": "web-5d7c-b"}, "status": ready},
    ]
    pod = ready_pod(pods)
    assert pod is not None
    step = verification(pod, volume(verify_cmd="select 'it''s';"))
    assert (step.pod, step.command) == ("web-5d7c-b", ("sh", "-c", "select 'it''s';"))
    assert ready_pod(pods[:1]) is None


def test_def_19_a_workload_that_does_not_start_is_said(fast_path: Path) -> None:
    site = make_site(fast_path, volume(verify_cmd="check"))
    site.cluster.command_answer = (3, "database is empty")
    report = site.run()
    assert report.outcome is Outcome.UNVERIFIED
    assert "database is empty" in report.volumes[0].verification


def test_def_12_a_second_run_keeps_its_source(fast_path: Path) -> None:
    """A directory that became larger meanwhile, as a live one does, is not chosen by a later run."""
    site = make_site(fast_path, manners=Manners(never_schedules=True))
    assert site.run().outcome is Outcome.FAILED
    larger = site.replicas / f"{PV}-ffffffff"
    larger.mkdir()
    for path in (site.replicas / f"{PV}-0a1b2c3d").iterdir():
        (larger / path.name).write_bytes(path.read_bytes())
    site.longhorn.manners.never_schedules = False
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert report.volumes[0].source.endswith("-0a1b2c3d")


def test_def_10_no_room_and_memory_are_refused(fast_path: Path) -> None:
    site = make_site(fast_path)
    site.nodes["node1"].free = 1 << 20
    report = site.run()
    assert report.volumes[0].code == "no-room"
    site.nodes["node1"].free, site.nodes["node1"].memory = 1 << 40, True
    assert "in memory" in site.run().volumes[0].error
    assert site.cluster.mutations == []


def test_a_silent_node_fails_the_run_unless_allowed(fast_path: Path) -> None:
    """LHR-037."""
    site = make_site(fast_path)
    site.nodes["node3"].unreachable = True
    with pytest.raises(PreflightError, match="node3"):
        site.run()
    assert site.cluster.mutations == []
    site.settings = site.settings.model_copy(update={"allow_missing_nodes": True})
    assert site.run().outcome is Outcome.RECOVERED


def test_no_directory_at_all_is_said_before_anything(fast_path: Path) -> None:
    """LHR-003, LHR-027, FM-03."""
    site = make_site(fast_path)
    site.nodes["node1"].holds_replicas = False
    with pytest.raises(PreflightError, match="the data is lost"):
        site.run()
    assert site.cluster.mutations == []


def bound(site: Any, **status: Any) -> Any:
    site.cluster.objects.pop(Ref("PersistentVolumeClaim", "data-web-0", "shop"))
    site.put(
        Ref("PersistentVolumeClaim", "data-web-0", "shop"),
        {"spec": {"volumeName": "pvc-new"}, "status": {"phase": "Bound"}},
    )
    site.put(
        Ref("PersistentVolume", PV),
        pv_manifest(site.volumes[0], site.settings, None) | {"status": {"phase": "Available"}},
    )
    site.put(Ref("longhorn.Volume", PV, NAMESPACE), {"spec": {}})
    site.clock.time_now += 60
    site.put(Ref("longhorn.Volume", "pvc-new", NAMESPACE), {"spec": {}, "status": status})
    workload = site.cluster.objects[Ref("StatefulSet", "web", "shop")]
    workload["spec"]["replicas"] = 0
    workload["metadata"]["annotations"] = {"recovery.factory/replicas": "2"}
    return decide_bind(seen(site), site.volumes[0], site.settings)


def test_a_claim_on_a_new_empty_volume_is_made_anew(fast_path: Path) -> None:
    """DT-6, LHR-146."""
    step = bound(make_site(fast_path), actualSize=100)
    assert isinstance(step, Act)
    assert isinstance(step.action, Delete)
    assert step.destructive


@pytest.mark.parametrize("status", [{"actualSize": 1 << 30}, {}], ids=["with data", "unknown"])
def test_a_claim_on_a_volume_that_may_hold_data_stops(status: dict[str, Any], fast_path: Path) -> None:
    step = bound(make_site(fast_path), **status)
    assert isinstance(step, Stop)
    assert step.code == "claim-elsewhere"


def test_a_released_pv_forgets_its_claim(fast_path: Path) -> None:
    """LHR-142, FM-19."""
    site = make_site(fast_path)
    site.cluster.objects.pop(Ref("PersistentVolumeClaim", "data-web-0", "shop"))
    body = pv_manifest(site.volumes[0], site.settings, None) | {"status": {"phase": "Released"}}
    body["spec"] = {**body["spec"], "claimRef": {"namespace": "shop", "name": "data-web-0", "uid": "old"}}
    site.put(Ref("PersistentVolume", PV), body)
    site.put(Ref("longhorn.Volume", PV, NAMESPACE), {})
    step = decide_bind(seen(site), site.volumes[0], site.settings)
    assert isinstance(step, Act)
    assert "forget" in step.what


def test_the_dump_decides_labels_and_attributes() -> None:
    """LHR-147, LHR-148."""
    pv = {
        "spec": {"csi": {"fsType": "ext4", "volumeAttributes": {"numberOfReplicas": "2"}}, "storageClassName": "slow"}
    }
    claim = {
        "metadata": {
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "shop", "pv.kubernetes.io/bind-completed": "yes"},
        },
        "spec": {"storageClassName": "slow"},
    }
    made = pv_manifest(volume(), make_settings(), pv)
    assert made["spec"]["csi"]["volumeAttributes"] == {"numberOfReplicas": "2"}
    assert made["spec"]["storageClassName"] == "slow"
    again = claim_manifest(volume(), make_settings(), claim)
    assert again["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "Helm"}
    assert again["metadata"]["annotations"] == {"meta.helm.sh/release-name": "shop"}
    assert again["spec"]["volumeName"] == PV


def test_the_plan_says_what_will_happen(fast_path: Path) -> None:
    site = make_site(fast_path)
    steps = steps_of(site.world(), site.volumes[0])
    text = "\n".join(steps)
    for part in (
        "copy the directory",
        "scale StatefulSet shop/web from 2 to 0",
        "clear the finalizers of claim",
        "format",
    ):
        assert part in text
    site.run()
    again = "\n".join(steps_of(site.world(), site.volumes[0]))
    assert "nothing is copied" in again
    assert "format" not in again


def test_waits_name_what_was_last_seen(fast_path: Path) -> None:
    """LHR-170, FM-13."""
    site = make_site(fast_path)
    holder = {"spec": {"volume": PV, "attachmentTickets": {"csi-1": {"nodeID": "node2"}}}}
    site.put(Ref("longhorn.VolumeAttachment", PV, NAMESPACE), holder)
    report = site.run()
    assert report.volumes[0].code == "timeout"
    assert "csi-1" in report.volumes[0].error
    tickets = site.cluster.objects[Ref("longhorn.VolumeAttachment", PV, NAMESPACE)]["spec"]["attachmentTickets"]
    assert set(tickets) == {"csi-1"}


def test_a_claim_that_never_goes_aborts_the_volume_before_anything_is_made(fast_path: Path) -> None:
    """FM-09, LHR-077: its time is up, by the clock that is handed in."""
    site = make_site(fast_path)
    claim = Ref("PersistentVolumeClaim", "data-web-0", "shop")
    site.cluster.objects[claim]["metadata"]["finalizers"] = []
    began = site.clock.now()
    (found,) = site.run().volumes
    assert (found.outcome, found.code) == (Outcome.FAILED, "timeout")
    assert site.settings.short_wait_seconds <= site.clock.now() - began < 3 * site.settings.short_wait_seconds
    assert not any(step.startswith("create") for step in site.cluster.mutations)


def test_a_claim_that_does_not_bind_says_what_it_asks_for(fast_path: Path) -> None:
    """FM-20: nobody binds here; class and mode stand beside what was last seen."""
    site = make_site(fast_path, manners=Manners(workloads=False))
    (found,) = site.run().volumes
    assert (found.outcome, found.code) == (Outcome.FAILED, "timeout")
    assert "is bound; last seen: {" in found.error
    for asked in ("'class': 'longhorn'", "'modes': ['ReadWriteOnce']"):
        assert asked in found.error


def test_a_workload_that_must_not_start_stays_down(fast_path: Path) -> None:
    """VAR-006, VAR-008, FM-30: its data is back, and the secret store may still be sealed."""
    site = make_site(fast_path, volume(scale_up=False))
    assert site.run().outcome is Outcome.RECOVERED
    workload = site.cluster.get(Ref("StatefulSet", "web", "shop"))
    assert workload is not None
    assert workload["spec"]["replicas"] == 0
    assert site.restored() == FILES


def test_a_ticket_that_does_not_go_is_said_and_its_object_stays(fast_path: Path) -> None:
    """FM-18, PIT-06: something gives it back each time."""
    site = make_site(fast_path)
    holder = Ref("longhorn.VolumeAttachment", PV, NAMESPACE)
    patch = site.cluster.patch

    def stubborn(ref: Ref, body: Any, subresource: str = "") -> Any:
        removal = ref == holder and isinstance(body, list)
        return site.cluster.objects[holder] if removal else patch(ref, body, subresource)

    site.cluster.patch = stubborn  # type: ignore[method-assign]
    (found,) = site.run().volumes
    assert (found.outcome, found.code) == (Outcome.FAILED, "undone")
    assert site.cluster.get(holder) is not None
    assert site.restored() == FILES


@pytest.mark.parametrize("text", ["password=abc123", 'token: "abc123"', "api_key abc123", "Bearer: abc123"])
def test_secrets_do_not_reach_the_evidence(text: str) -> None:
    assert "abc123" not in redacted(text)


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-31", "2026-01-31T15:20:00", "2026-13-01T00:00:00Z", " "])
def test_an_incident_s_time_needs_its_zone(moment: str) -> None:
    """LHR-033: what it is compared with comes from other machines, in other zones."""
    with pytest.raises(ValidationError, match=r"incident_time\n.*no time with its zone"):
        make_settings(incident_time=moment)
    assert make_settings(incident_time="2026-01-31T15:20:00Z").incident_time
