"""The faithful copy of a replica directory, and dumps of objects: taken, verified, kept, restored."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from components.longhorn.flow import dump_store
from components.longhorn.flow.dump import Dump, DumpError, collect, parse, sanitised, verify
from components.longhorn.flow.dump_store import DumpFolder, protected_storage, select
from components.longhorn.flow.interfaces import KINDS, Ref
from components.longhorn.flow.inventory import Inventory
from components.longhorn.flow.marks import REPLICAS
from components.longhorn.flow.restore import Restored, VolumeData, restore
from components.longhorn.flow.volumes import FlowSettings
from components.longhorn.recovery import BadInputError, CancelledError, DamagedError
from components.longhorn.recovery.backup import backup, check_backup
from components.longhorn.recovery.extents import LayerFile
from tests.support.fake_longhorn import NAMESPACE, FakeLonghorn, Manners, managers
from tests.support.memory_cluster import Controllers, MemoryCluster
from tests.support.recovery_node import FakeClock

BLOCK = 4096
SETTINGS = FlowSettings(nodes=("node1",), data_path="/srv/longhorn", backup_base="/srv/b", merged_base="/srv/m")
PV = "pvc-00000000-0000-4000-8000-000000000001"


def replica(directory: Path, dice: random.Random, layers: int = 3, blocks: int = 64) -> Path:
    """A directory whose layers have holes, data and written zeros."""
    directory.mkdir(parents=True)
    (directory / "volume.meta").write_text('{"Size": 262144, "Head": "volume-head-001.img"}\n')
    for number in range(layers):
        with (directory / f"volume-snap-{number}.img").open("wb") as file:
            file.truncate(blocks * BLOCK)
            for index in dice.sample(range(blocks), blocks // 3):
                file.seek(index * BLOCK)
                file.write(bytes(BLOCK) if dice.random() < 0.5 else dice.randbytes(BLOCK))
    return directory


def ownership(directory: Path) -> dict[str, tuple[list[tuple[int, int]], bytes, int]]:
    found = {}
    for path in sorted(directory.iterdir()):
        layer = LayerFile(path)
        found[path.name] = (list(layer.extents()), path.read_bytes(), path.stat().st_mtime_ns)
        layer.close()
    return found


@pytest.mark.parametrize("method", ["extents", "tar"])
def test_def_05_a_copy_keeps_what_each_layer_owns(method: str, tmp_path: Path, dice: random.Random) -> None:
    source = replica(tmp_path / "replicas" / "r", dice)
    before = ownership(source)
    manifest = backup(source, tmp_path / "backups" / "r", method=method)
    copied = ownership(tmp_path / "backups" / "r")
    assert {name: item[:2] for name, item in copied.items()} == {name: item[:2] for name, item in before.items()}
    assert ownership(source) == before
    if method == "extents":
        assert copied == before
    assert check_backup(tmp_path / "backups" / "r", content=True).digest == manifest.digest


@pytest.mark.parametrize("method", ["cp", "rsync", "dd", "scp"])
def test_def_05_other_ways_to_copy_are_refused(method: str, tmp_path: Path, dice: random.Random) -> None:
    source = replica(tmp_path / "replicas" / "r", dice)
    with pytest.raises(BadInputError, match="keep what each layer owns"):
        backup(source, tmp_path / "b", method=method)
    with pytest.raises(ValueError, match="DEF-05"):
        FlowSettings(**SETTINGS.model_dump() | {"copy_method": method})


def test_what_cp_does_is_noticed(tmp_path: Path, dice: random.Random) -> None:
    """Put into the place of a copy, what `cp` makes of it is not accepted (GLK-026)."""
    source = replica(tmp_path / "replicas" / "r", dice)
    target = tmp_path / "backups" / "r"
    backup(source, target)
    shutil.rmtree(target)
    subprocess.run(["cp", "-a", "--sparse=always", str(source), str(target)], check=True)
    with pytest.raises(DamagedError, match="not as it was copied"):
        check_backup(target)


def test_def_08_an_interrupted_copy_is_made_anew(tmp_path: Path, dice: random.Random) -> None:
    source, target = replica(tmp_path / "replicas" / "r", dice), tmp_path / "backups" / "r"
    with pytest.raises(CancelledError):
        backup(source, target, progress=lambda done: done < 20 * BLOCK)
    assert not target.exists()
    with pytest.raises(FileNotFoundError):
        check_backup(target)
    manifest = backup(source, target)
    assert check_backup(target, content=True) == manifest
    assert [path.name for path in target.parent.iterdir() if "partial" in path.name] == []


def test_def_08_a_complete_copy_is_not_made_twice(tmp_path: Path, dice: random.Random) -> None:
    source, target = replica(tmp_path / "replicas" / "r", dice), tmp_path / "backups" / "r"
    first = backup(source, target)
    inode = target.stat().st_ino
    shutil.rmtree(source)
    source.mkdir()
    (source / "volume.meta").write_text("{}")
    assert backup(source, target) == first
    assert target.stat().st_ino == inode


@pytest.mark.parametrize("damage", ["truncated", "hole", "missing", "more"])
def test_a_copy_that_changed_is_refused(damage: str, tmp_path: Path, dice: random.Random) -> None:
    source, target = replica(tmp_path / "replicas" / "r", dice), tmp_path / "backups" / "r"
    backup(source, target)
    layer = target / "volume-snap-1.img"
    if damage == "truncated":
        with layer.open("r+b") as file:
            file.truncate(32 * BLOCK)
    elif damage == "hole":
        size = layer.stat().st_size
        layer.write_bytes(b"")
        with layer.open("r+b") as file:
            file.truncate(size)
    elif damage == "missing":
        layer.unlink()
    else:
        (target / "more").touch()
    with pytest.raises(DamagedError):
        backup(source, target)


def test_a_source_that_changes_meanwhile_is_refused(tmp_path: Path, dice: random.Random) -> None:
    """LHR-046."""
    source = replica(tmp_path / "replicas" / "r", dice)

    def write(done: int) -> bool:
        if done > 10 * BLOCK:
            with (source / "volume-snap-0.img").open("r+b") as file:
                file.write(b"changed")
        return True

    with pytest.raises(DamagedError, match="changed"):
        backup(source, tmp_path / "backups" / "r", progress=write)
    assert not (tmp_path / "backups" / "r").exists()


def test_nothing_is_written_among_the_replicas(tmp_path: Path, dice: random.Random) -> None:
    """INV-001."""
    source = replica(tmp_path / "replicas" / "r", dice)
    for target in (source / "copy", source.with_name("copy"), source):
        with pytest.raises(BadInputError, match="INV-001"):
            backup(source, target)


# Objects


@pytest.fixture
def cluster() -> MemoryCluster:
    found = MemoryCluster(FakeClock().now)
    found.absent_kinds = {"longhorn.BackingImage"}
    for ref, body in managers(("node1",)):
        found.add(ref, body)
    found.add(
        Ref("PersistentVolume", PV),
        {
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "kept"}},
            "spec": {
                "csi": {"driver": "driver.longhorn.io", "volumeHandle": PV},
                "claimRef": {"uid": "old", "namespace": "shop", "name": "data"},
                "persistentVolumeReclaimPolicy": "Delete",
            },
            "status": {"phase": "Bound"},
        },
    )
    found.add(
        Ref("PersistentVolumeClaim", "data", "shop"),
        {
            "metadata": {"finalizers": ["kubernetes.io/pvc-protection"], "labels": {"app": "shop"}},
            "spec": {"volumeName": PV, "accessModes": ["ReadWriteOnce"]},
            "status": {"phase": "Bound"},
        },
    )
    found.add(
        Ref("longhorn.Volume", PV, NAMESPACE), {"spec": {"size": "1", "nodeID": "node1"}, "status": {"actualSize": 10}}
    )
    found.add(
        Ref("longhorn.Replica", f"{PV}-r-1", NAMESPACE),
        {
            "metadata": {"labels": {"longhornvolume": PV}},
            "spec": {"volumeName": PV, "nodeID": "node1", "dataDirectoryName": f"{PV}-0a1b2c3d"},
        },
    )
    found.add(Ref("longhorn.Engine", f"{PV}-e-0", NAMESPACE), {"spec": {"volumeName": PV}})
    mounts = [{"persistentVolumeClaim": {"claimName": "data"}}]
    found.add(Ref("Deployment", "web", "shop"), {"spec": {"replicas": 3, "template": {"spec": {"volumes": mounts}}}})
    return found


def taken(cluster: MemoryCluster) -> Dump:
    sizes = {("node1", f"{PV}-0a1b2c3d"): 900, ("node2", f"{PV}-00000001"): 16, ("node2", "copy"): 20}
    return collect(cluster, 1_800_000_000.0, inventory=Inventory(sizes, frozenset({"node1", "node2"})))


def test_a_dump_reads_back_as_it_was(cluster: MemoryCluster) -> None:
    dump = taken(cluster)
    again = parse(dump.text())
    assert again.counts == {kind: count for kind, count in dump.counts.items() if count}
    assert again.index["absent"] == ["longhorn.BackingImage"]
    workloads = [{"kind": "Deployment", "namespace": "shop", "name": "web", "replicas": 3, "claims": ["data"]}]
    assert again.index["workloads"] == workloads
    check = verify(again, 1_800_000_060.0)
    assert check.good
    assert check.age_seconds == 60
    assert check.matches == (f"shop/data = {PV}",)


def test_a_dump_knows_where_the_data_lies(cluster: MemoryCluster) -> None:
    """BKP-011: what a Replica names was in use, what else lies on a disk is left of something; GLK-016."""
    used = {"node": "node1", "directory": f"{PV}-0a1b2c3d", "volume": PV, "replica": f"{PV}-r-1"}
    index = parse(taken(cluster).text()).index
    assert index["nodes"] == ["node1", "node2"]
    assert index["directories"] == [
        {**used, "kib": 900},
        {"node": "node2", "directory": "copy", "volume": "", "kib": 20},
        {"node": "node2", "directory": f"{PV}-00000001", "volume": PV, "kib": 16},
    ]
    # Without a way to the nodes the Replicas still tell it.
    assert collect(cluster, 1_800_000_000.0).index["directories"] == [used]


def test_a_dump_knows_who_mounts_a_claim_also_when_it_is_stopped(cluster: MemoryCluster) -> None:
    """BKP-011: a StatefulSet at 0 keeps all its claims, and one that a recovery stopped its number of before."""
    for number in (0, 2):
        cluster.add(Ref("PersistentVolumeClaim", f"data-db-{number}", "shop"), {"spec": {"volumeName": PV}})
    cluster.add(Ref("PersistentVolumeClaim", "data-db-0", "other"), {"spec": {}})
    templates = [{"metadata": {"name": "data"}}]
    cluster.add(Ref("StatefulSet", "db", "shop"), {"spec": {"replicas": 0, "volumeClaimTemplates": templates}})
    cluster.objects[Ref("StatefulSet", "db", "shop")]["metadata"]["annotations"] = {REPLICAS: "3"}
    entry = {"kind": "StatefulSet", "namespace": "shop", "name": "db", "replicas": 3}
    assert {**entry, "claims": ["data-db-0", "data-db-2"]} in taken(cluster).index["workloads"]


def test_a_dump_holds_every_kind_of_longhorn_s(cluster: MemoryCluster) -> None:
    """LHP-051; of what comes and goes by itself nothing need be there the next time (BKP-013)."""
    kinds = [kind for kind in KINDS if kind.startswith("longhorn.") and kind not in cluster.absent_kinds]
    for kind in kinds:
        cluster.add(Ref(kind, f"a-{kind.lower().removeprefix('longhorn.')}", NAMESPACE), {"spec": {}})
    first = taken(cluster)
    assert {kind for kind in parse(first.text()).counts if kind.startswith("longhorn.")} == set(kinds)
    for kind in ("longhorn.Snapshot", "longhorn.Orphan", "longhorn.SupportBundle"):
        cluster.remove(Ref(kind, f"a-{kind.lower().removeprefix('longhorn.')}", NAMESPACE))
    assert verify(taken(cluster), 1_800_000_000.0, previous=first).good


def test_sanitised_objects_hold_nothing_of_the_server(cluster: MemoryCluster) -> None:
    """BKP-041, BKP-042, PIT-19."""
    pv = sanitised(cluster.list("PersistentVolume")[0])
    assert pv["metadata"] == {"name": PV, "annotations": {"note": "kept"}}
    assert "claimRef" not in pv["spec"]
    assert pv["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert "status" not in pv
    claim = sanitised(cluster.list("PersistentVolumeClaim")[0])
    assert claim["spec"]["volumeName"] == PV
    assert "finalizers" not in claim["metadata"]
    assert "nodeID" not in sanitised(cluster.list("longhorn.Volume")[0])["spec"]


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "empty"), ("---\n---\n", "empty"), ("kind: List\nitems: []\n", "empty")],
)
def test_an_empty_dump_is_not_good(text: str, why: str) -> None:
    """BKP-003, PIT-14."""
    assert any(why in problem for problem in verify(parse(text), 0).problems)


@pytest.mark.parametrize("text", ["{", "- a\n- b\n", "just words"])
def test_other_texts_are_no_dump(text: str) -> None:
    with pytest.raises(DumpError):
        parse(text)


def test_the_described_form_is_read() -> None:
    """BKP-050: several Lists, single objects, CRLF, empty documents, other letters."""
    text = (
        "apiVersion: v1\r\nkind: List\r\nitems:\r\n- apiVersion: v1\r\n  kind: PersistentVolume\r\n"
        "  metadata: {name: pvc-ü}\r\n---\r\n---\r\n"
        "apiVersion: longhorn.io/v1beta2\r\nkind: Volume\r\nmetadata: {name: pvc-ü, namespace: longhorn-system}\r\n"
        "---\r\napiVersion: v1\r\nkind: ConfigMap\r\nmetadata: {name: ignored}\r\n"
    )
    assert parse(text).counts == {"PersistentVolume": 1, "longhorn.Volume": 1}


def test_engines_without_volumes_are_predicted_to_fail(cluster: MemoryCluster) -> None:
    """BKP-049, FM-22, PIT-15."""
    dump = taken(cluster)
    without = Dump({kind: items for kind, items in dump.objects.items() if kind != "longhorn.Volume"}, dump.index)
    problems = " ".join(verify(without, 1_800_000_000.0).problems)
    assert "FM-22" in problems
    assert "0 Volumes for 1" in problems


def test_a_worse_dump_replaces_nothing(cluster: MemoryCluster, tmp_path: Path) -> None:
    """BKP-013, BKP-017."""
    folder = DumpFolder(tmp_path / "dumps")
    first = folder.write(taken(cluster), 1_800_000_000.0)
    for name in (f"{PV}-r-1",):
        cluster.remove(Ref("longhorn.Replica", name, NAMESPACE))
    with pytest.raises(DumpError, match=r"no longhorn\.Replica any more"):
        folder.write(taken(cluster), 1_800_100_000.0)
    assert [item.path for item in folder.listed()] == [first]


def test_rotation_keeps_the_newest_good_ones_however_old(cluster: MemoryCluster, tmp_path: Path) -> None:
    folder = DumpFolder(tmp_path, keep=3)
    written = [folder.write(taken(cluster), 1_800_000_000.0 + day * 86_400) for day in range(6)]
    assert [item.path for item in folder.listed()] == written[:2:-1]
    assert written[-1].stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 9


def test_a_dump_never_lies_on_what_it_protects(
    cluster: MemoryCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BKP-014, PIT-18."""
    mounts = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"40 22 0:44 / {tmp_path} rw - nfs4 10.0.0.9:/pvc-efda rw\n"
        "41 22 8:9 / /data rw - ext4 /dev/longhorn/pvc-1 rw\n"
    )
    assert protected_storage(tmp_path / "k3s", mounts) == "10.0.0.9:/pvc-efda"
    assert protected_storage(Path("/data/x"), mounts) == "/dev/longhorn/pvc-1"
    assert protected_storage(Path("/srv"), mounts) == ""
    monkeypatch.setattr(Path, "read_text", lambda *_given, **_named: mounts)
    with pytest.raises(DumpError, match="BKP-014"):
        DumpFolder(tmp_path / "k3s").write(taken(cluster), 0)
    assert not (tmp_path / "k3s").exists()


def test_def_25_the_newest_good_dump_of_all_folders_wins(cluster: MemoryCluster, tmp_path: Path) -> None:
    stale, primary = DumpFolder(tmp_path / "fallback"), DumpFolder(tmp_path / "primary")
    stale.write(taken(cluster), 1_799_000_000.0)
    newest = primary.write(taken(cluster), 1_800_000_000.0)
    (tmp_path / "primary" / "backup_20990101.volumes").write_text("")
    damaged = primary.write(taken(cluster), 1_800_200_000.0)
    damaged.write_text(damaged.read_text() + "# more\n")
    found = select([stale.path, primary.path], 1_800_300_000.0)
    assert found.path == newest
    assert len(found.rejected) == 2
    assert select([stale.path, primary.path], 0, before="2027-01-10T00:00:00+00:00").path.parent == stale.path
    with pytest.raises(DumpError, match="no good dump of 20200101"):
        select([primary.path], 0, date="20200101")


def test_a_folder_that_never_answers_is_passed_over(
    cluster: MemoryCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BKP-061, FM-31: the share of the dumps lies on the Longhorn that is down."""
    good, share = DumpFolder(tmp_path / "good"), tmp_path / "share"
    newest, over = good.write(taken(cluster), 1_800_000_000.0), threading.Event()
    stat = Path.stat

    def slow(path: Path, **options: Any) -> Any:
        if path == share:
            over.wait(60)
        return stat(path, **options)

    monkeypatch.setattr(dump_store, "_PATIENCE", 0.05)
    monkeypatch.setattr(Path, "stat", slow)
    try:
        found = select([share, good.path], 1_800_000_000.0)
        assert found.path == newest
        assert found.rejected == (f"{share}: does not answer within 0.05 s (FM-31)",)
        with pytest.raises(DumpError, match="does not answer"):
            DumpFolder(share).write(taken(cluster), 1_800_000_000.0)
    finally:
        over.set()


def restored(cluster: MemoryCluster, dump: Dump, **options: Any) -> Any:
    clock = FakeClock(tick=FakeLonghorn(Controllers(cluster), ("node1",), Manners()).step)
    return restore(cluster, dump, SETTINGS, clock, **options)


def test_without_a_running_manager_nothing_is_brought_back(cluster: MemoryCluster) -> None:
    """LHP-060: a Volume that nobody takes up would stand there empty, or be refused by a webhook that is down."""
    dump = taken(cluster)
    lost(cluster)
    cluster.objects.pop(Ref("Pod", "longhorn-manager-node1", NAMESPACE))
    with pytest.raises(DumpError, match="0 longhorn-manager pods are Running"):
        restored(cluster, dump)
    assert cluster.mutations == []


def lost(cluster: MemoryCluster) -> None:
    for kind in ("longhorn.Volume", "longhorn.Replica", "longhorn.Engine", "PersistentVolume", "PersistentVolumeClaim"):
        for ref in [ref for ref in cluster.objects if ref.kind == kind]:
            cluster.objects.pop(ref)


def test_the_empty_volume_trap_is_no_success(cluster: MemoryCluster) -> None:
    """GLK-017, LHT-004: the claim is Bound, the Volume exists, and nothing is in it."""
    dump = parse(taken(cluster).text())
    lost(cluster)
    report = restored(cluster, dump)
    assert {outcome for _, outcome, _ in report.objects} == {Restored.CREATED}
    assert report.data == {PV: VolumeData.EMPTY}
    assert report.held == ["Deployment shop/web"]
    assert not report.complete
    kinds = [step.split()[1:3] for step in cluster.mutations]
    assert kinds == [["Longhorn", "Volume"], ["PersistentVolume", PV], ["PersistentVolumeClaim", "shop/data"]]


def test_def_24_what_is_there_is_not_applied_again(cluster: MemoryCluster) -> None:
    dump = parse(taken(cluster).text())
    cluster.objects[Ref("PersistentVolume", PV)]["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    cluster.objects[Ref("PersistentVolumeClaim", "data", "shop")]["spec"]["accessModes"] = ["ReadWriteMany"]
    report = restored(cluster, dump)
    outcomes = {name.split()[-1]: (outcome, why) for name, outcome, why in report.objects}
    assert outcomes[f"{NAMESPACE}/{PV}"][0] is Restored.UNCHANGED
    assert outcomes["shop/data"][0] is Restored.CONFLICT
    assert "ReadWriteMany" in outcomes["shop/data"][1]
    assert report.data == {PV: VolumeData.PRESENT}
    assert cluster.mutations == []


def test_a_dry_run_makes_nothing(cluster: MemoryCluster) -> None:
    dump = parse(taken(cluster).text())
    lost(cluster)
    report = restored(cluster, dump, dry_run=True)
    assert {outcome for _, outcome, _ in report.objects} == {Restored.PLANNED}
    assert not report.complete
    assert cluster.mutations == []


def test_what_is_stuck_half_deleted_is_told_with_how_it_goes(cluster: MemoryCluster) -> None:
    """BKP-043, INV-005: a restore takes no finalizer from a claim whose workload may run."""
    dump = parse(taken(cluster).text())
    stuck = {"deletionTimestamp": "2026-01-01T00:00:00+00:00", "finalizers": ["held"]}
    for ref in (Ref("PersistentVolume", PV), Ref("PersistentVolumeClaim", "data", "shop")):
        cluster.objects[ref]["metadata"] |= stuck
    why = {name: (outcome, why) for name, outcome, why in restored(cluster, dump).objects}
    outcome, said = why["PersistentVolumeClaim shop/data"]
    assert outcome is Restored.CONFLICT
    assert "kubectl --namespace shop patch persistentvolumeclaim data --type merge" in said
    assert """'{"metadata":{"finalizers":null}}'""" in said
    assert f"kubectl patch persistentvolume {PV} " in why[f"PersistentVolume {PV}"][1]
    assert cluster.mutations == []


def test_a_chosen_claim_that_is_not_in_the_dump_stops_before_anything(cluster: MemoryCluster) -> None:
    dump = parse(taken(cluster).text())
    lost(cluster)
    with pytest.raises(DumpError, match="shop/nothing"):
        restored(cluster, dump, claims=["shop/nothing"])
    assert cluster.mutations == []


def test_a_dump_without_its_volumes_stops_before_anything(cluster: MemoryCluster) -> None:
    dump = taken(cluster)
    without = Dump({kind: items for kind, items in dump.objects.items() if kind != "longhorn.Volume"}, {})
    lost(cluster)
    with pytest.raises(DumpError, match="lacks the Longhorn Volumes"):
        restored(cluster, without)
    assert cluster.mutations == []


def test_def_26_the_drill_passes_because_names_come_from_the_dump(cluster: MemoryCluster) -> None:
    """The volume's name is known after claim and Volume are gone, and the documents are apart."""
    text = taken(cluster).text()
    lost(cluster)
    dump = parse(text)
    claim = dump.find("PersistentVolumeClaim", "data", "shop")
    assert claim is not None
    assert dump.find("longhorn.Volume", claim["spec"]["volumeName"]) is not None
    restored(cluster, dump, claims=["shop/data"])
    assert cluster.get(Ref("longhorn.Volume", PV, NAMESPACE)) is not None
