"""The recovery's resources on the real engine: create, nothing to do, kill and go on, refusals, destroy."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.longhorn.flow.dump import collect
from components.longhorn.flow.dump_store import DumpFolder, select
from components.longhorn.flow.interfaces import Ref
from components.longhorn.flow.kubernetes_cluster import KubernetesCluster
from components.longhorn.flow.opening import open_cluster
from components.longhorn.recovery import image
from sandbox.endpoints import Endpoints
from sandbox.processes import with_descendants
from tests.engine.longhorn.reconciling import LoopNode, ran, reconciling
from tests.support.fake_longhorn import NAMESPACE
from tests.support.plugin_program import Program
from tests.support.recovery_site import FILES, volume
from tests.support.ssh_server import SshServer, ssh_server, sshd
from tests.support.waiting import until
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")

SOURCE = f"""
import json, os, sys

sys.path.insert(0, {str(ROOT)!r})
import pulumi

from components.longhorn import LonghornDiagnosis, LonghornVolumeRecovery, PvcObjectBackup, PvcObjectRestore
from components.longhorn.flow.site import SiteArgs
from components.longhorn.flow.volumes import FlowSettings, VolumeInput

kind, models, values = json.loads(os.environ["VALUES"])["resource"]
read = {{"site": SiteArgs, "volume": VolumeInput, "settings": FlowSettings}}
given = {{name: read[name].model_validate(values.pop(name)) for name in models}}
python = pulumi.ProviderResource("pulumi-python", "python", {{}})
globals()[kind]("it", **given, **values, opts=pulumi.ResourceOptions(provider=python))
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Program.write(tmp_path / "program", SOURCE)


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshServer]:
    if sshd() is None:
        pytest.skip("needs an OpenSSH server on this machine")
    (tmp_path / "ssh").mkdir()
    with ssh_server(tmp_path / "ssh") as server:
        yield server


def resource(kind: str, models: list[str], **values: Any) -> dict[str, Any]:
    """What the program makes, as its values."""
    return {"resource": [kind, models, values]}


def refused(program: Program, why: str, **values: Any) -> None:
    """Assert that an `up` ends with this sentence and no traceback."""
    said = program.run("up", "--yes", "--skip-preview", check=False, values=values)
    assert why in " ".join(said.split())
    assert "Traceback" not in said


def killed_when(program: Program, condition: Callable[[], object], values: dict[str, Any]) -> None:
    """Start an `up`, and kill the engine with all that it started as soon as something is so."""
    run = program.start("up", "--yes", "--skip-preview", values=values)
    deadline = time.monotonic() + 300
    while not condition():
        assert run.poll() is None, (program.folder / "run.log").read_text()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    # On a busy machine it may have come to its end meanwhile; what follows holds then too.
    # The dynamic provider has a group of its own and would outlive its engine.
    for process in with_descendants(run.pid):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    run.wait()
    # What `./factory` does for a person: the dead run's lock goes, and the create of which nobody knows is made again.
    program.run("cancel", "--yes")
    program.run("refresh", "--yes", "--clear-pending-creates", values=values)


def stored(program: Program, sandbox: Endpoints, ssh: SshServer | None = None) -> dict[str, Any]:
    """The resource's outputs in the state, which holds no key in clear."""
    text = program.state()
    key = next(line for line in sandbox.kubernetes.kubeconfig.splitlines() if "client-key-data" in line).split()[-1]
    assert key not in text
    assert ssh is None or ssh.private_key.splitlines()[1] not in text
    resources = json.loads(text)["deployment"]["resources"]
    found: dict[str, Any] = next(item["outputs"] for item in resources if "dynamic/factory:" in item["type"])
    return found


@as_root
def test_the_life_of_a_recovery(
    cluster: KubernetesCluster, sandbox: Endpoints, ssh: SshServer, program: Program, tmp_path: Path
) -> None:
    """DRV-001 .. DRV-003, DRV-006, INV-017: over SSH, into a loop device, killed after the format."""
    pv, namespace = f"pvc-{uuid.uuid4()}", f"shop-{uuid.uuid4().hex[:8]}"
    cluster.create(
        Ref("Namespace", namespace), {"metadata": {"name": namespace}, "kind": "Namespace", "apiVersion": "v1"}
    )
    node, state = LoopNode(tmp_path / "node", pv, ssh), tmp_path / "state"
    wanted = volume(pv_name=pv, namespace=namespace, workload_name="").model_dump(mode="json")
    recovery = partial(resource, "LonghornVolumeRecovery", ["site", "volume"], volume=wanted)
    login = {"kubeconfig": sandbox.kubernetes.kubeconfig, "private_key": ssh.private_key, "state_folder": str(state)}
    values = recovery(site=node.site, confirm=pv, **login)
    here = Ref("longhorn.Volume", pv, NAMESPACE)

    with reconciling(open_cluster(sandbox.kubernetes.kubeconfig)), node.devices():
        before = contents(node.root / "data")
        closed = "https://127.0.0.1:1"
        nobody = {**login, "kubeconfig": login["kubeconfig"].replace(sandbox.kubernetes.server, closed)}
        program.run("preview", values=recovery(site=node.site, confirm=pv, **nobody))
        refused(program, f"confirm = '{pv}'", **recovery(site=node.site, confirm="yes", **login))
        another = node.site | {"hosts": {"node1": node.site["hosts"]["node1"] | {"host_key": _other_key(tmp_path)}}}
        refused(program, "node1: ", **recovery(site=another, confirm=pv, **login))
        assert cluster.get(here) is None
        assert not (node.root / "work").exists(), "nothing was sent to the node"

        killed_when(program, node.file_system, values)
        formatted = node.file_system()
        program.up(**values)
        assert node.file_system() == formatted, "formatted once"
        image.extract(node.backing, ["/"], tmp_path / "out")
        assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES
        found = stored(program, sandbox, ssh)
        assert found["report"]["volumes"][0]["outcome"] == "recovered"
        assert found["drift"] == []
        program.unchanged(**values)

        cluster.patch(Ref("PersistentVolume", pv), {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
        program.run("refresh", "--yes", values=values)
        assert stored(program, sandbox, ssh)["drift"] == ["PersistentVolume kept"]
        cluster.patch(Ref("PersistentVolume", pv), {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})

        program.run("destroy", "--yes", "--skip-preview", values=values)
        claim = Ref("PersistentVolumeClaim", wanted["pvc_name"], namespace)
        assert all(cluster.get(ref) for ref in (here, Ref("PersistentVolume", pv), claim))
        assert node.file_system() == formatted
        assert list((node.root / "backups").iterdir())
        assert list((node.root / "merged").iterdir())
        assert contents(node.root / "data") == before
    for ref in (claim, Ref("PersistentVolume", pv), here, Ref("Namespace", namespace)):
        cluster.delete(ref)


def contents(folder: Path) -> dict[Path, tuple[int, int, bytes]]:
    """Inode, time of change and bytes of each file below."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def _other_key(folder: Path) -> str:
    ran(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other")])
    return " ".join((folder / "other.pub").read_text().split()[:2])


def test_the_life_of_a_diagnosis(
    cluster: KubernetesCluster, sandbox: Endpoints, ssh: SshServer, program: Program, tmp_path: Path
) -> None:
    """DRV-004: a refresh is a look; nothing is ever changed, and an unreadable kubeconfig is one sentence."""
    site = LoopNode(tmp_path / "node", "pvc-none", ssh).site
    (tmp_path / "node" / "data" / "replicas").mkdir(parents=True)
    look = partial(resource, "LonghornDiagnosis", ["site"], site=site, private_key=ssh.private_key)
    values = look(kubeconfig=sandbox.kubernetes.kubeconfig)
    refused(program, "the kubeconfig is no YAML", **look(kubeconfig="a: [\n"))
    program.up(**values)
    found = stored(program, sandbox, ssh)["diagnosis"]
    assert (found["state"], found["nodes"]) == ("sockets", ["node1"])
    assert found["facts"]["data"] == {"node1": True}
    program.unchanged(**values)

    driver = Ref("CSIDriver", "driver.longhorn.io")
    before = cluster.get(driver)
    assert before is not None
    cluster.delete(driver)
    try:
        program.run("refresh", "--yes", values=values)
        assert stored(program, sandbox, ssh)["diagnosis"]["state"] == "soft"
    finally:
        body = {key: before[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": driver.name}}
        cluster.create(driver, body)
    program.run("destroy", "--yes", "--skip-preview", values=values)
    assert cluster.get(driver) is not None
    assert list((tmp_path / "node").rglob("*")) == [tmp_path / "node" / "data", tmp_path / "node" / "data" / "replicas"]


def test_the_life_of_a_dump(cluster: KubernetesCluster, sandbox: Endpoints, program: Program, tmp_path: Path) -> None:
    body = {"apiVersion": "longhorn.io/v1beta2", "kind": "Volume", "metadata": {"name": "pvc-dumped"}, "spec": {}}
    cluster.create(Ref("longhorn.Volume", "pvc-dumped", NAMESPACE), body)
    folder = tmp_path / "dumps"
    dump = partial(resource, "PvcObjectBackup", [], kubeconfig=sandbox.kubernetes.kubeconfig)
    values = dump(folders=[str(folder)])

    program.run("preview", values=values)
    assert not folder.exists(), "a preview opens nothing and writes nothing (DRV-006)"

    program.up(**values)
    first = Path(stored(program, sandbox)["files"][0])
    found = select([folder], first.stat().st_mtime)
    assert found.path == first
    assert found.dump.find("longhorn.Volume", "pvc-dumped") is not None
    program.unchanged(**values)

    shutil.rmtree(folder)
    program.up(**values)
    second = Path(stored(program, sandbox)["files"][0])
    assert second.exists(), "a dump that is lost is made again"

    refused(program, "/proc/none", **dump(folders=["/proc/none"]))
    program.run("destroy", "--yes", "--skip-preview", values=values)
    assert second.exists(), "deleting the resource deletes no dump (INV-017)"
    cluster.delete(Ref("longhorn.Volume", "pvc-dumped", NAMESPACE))


def test_the_life_of_a_restore(
    cluster: KubernetesCluster, sandbox: Endpoints, program: Program, tmp_path: Path
) -> None:
    """What is lost beside a Volume with its data comes back; an empty Volume is never a success (GLK-017, LHT-004)."""
    pv, namespace = f"pvc-{uuid.uuid4()}", f"shop-{uuid.uuid4().hex[:8]}"
    here, kept = Ref("longhorn.Volume", pv, NAMESPACE), Ref("PersistentVolume", pv)
    claim = Ref("PersistentVolumeClaim", "data", namespace)
    folder = tmp_path / "dumps"
    settings = {
        "nodes": ["node1"],
        "data_path": "/srv/data",
        "backup_base": "/srv/backups",
        "merged_base": "/srv/merged",
    }
    restore = partial(
        resource,
        "PvcObjectRestore",
        ["settings"],
        settings=settings,
        kubeconfig=sandbox.kubernetes.kubeconfig,
        claims=[f"{namespace}/data"],
    )
    values = restore(folders=[str(folder)])
    with reconciling(open_cluster(sandbox.kubernetes.kubeconfig)) as longhorn:
        _bound_volume(cluster, pv, namespace)
        until(lambda: cluster.list("longhorn.Replica", NAMESPACE, f"longhornvolume={pv}"))
        DumpFolder(folder).write(collect(cluster, time.time()), time.time())
        for ref in (claim, kept):
            cluster.delete(ref)
            until(partial(_gone, cluster, ref))
        refused(program, "no good dump", **restore(folders=[str(tmp_path / "nothing")]))
        program.run("preview", values=values)
        assert cluster.get(kept) is None, "a preview makes nothing"
        program.up(**values)
        assert stored(program, sandbox)["report"]["data"] == {pv: "data present"}
        until(lambda: (cluster.get(claim) or {}).get("status", {}).get("phase") == "Bound")
        program.unchanged(**values)
        program.run("destroy", "--yes", "--skip-preview", values=values)
        assert all(cluster.get(ref) for ref in (here, kept, claim))

        for ref in (claim, kept, here):
            cluster.delete(ref)
            until(partial(_gone, cluster, ref))
        longhorn.generation += 1
        for replica in cluster.list("longhorn.Replica", NAMESPACE, f"longhornvolume={pv}"):
            cluster.delete(Ref("longhorn.Replica", replica["metadata"]["name"], NAMESPACE))
        refused(program, f"{pv}: empty: its data needs `recover run`", **values)
        assert '"dynamic/factory:PvcObjectRestore"' not in program.state()
    for ref in (claim, kept, here, Ref("Namespace", namespace)):
        cluster.delete(ref)


def _gone(cluster: KubernetesCluster, ref: Ref) -> bool:
    return cluster.get(ref) is None


def _bound_volume(cluster: KubernetesCluster, pv: str, namespace: str) -> None:
    """A Volume of Longhorn's, its PersistentVolume and the claim that it is bound to."""
    cluster.create(
        Ref("Namespace", namespace), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    )
    longhorn = {"apiVersion": "longhorn.io/v1beta2", "kind": "Volume", "metadata": {"name": pv, "namespace": NAMESPACE}}
    cluster.create(
        Ref("longhorn.Volume", pv, NAMESPACE), longhorn | {"spec": {"numberOfReplicas": 1, "size": "4194304"}}
    )
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": "longhorn"}
    csi = {"driver": "driver.longhorn.io", "volumeHandle": pv, "fsType": "ext4"}
    spec = common | {"capacity": {"storage": "4Mi"}, "csi": csi, "persistentVolumeReclaimPolicy": "Retain"}
    made = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": pv}, "spec": spec}
    cluster.create(Ref("PersistentVolume", pv), made)
    spec = common | {"volumeName": pv, "resources": {"requests": {"storage": "4Mi"}}}
    made = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": namespace}}
    cluster.create(Ref("PersistentVolumeClaim", "data", namespace), made | {"spec": spec})
    until(
        lambda: (
            (cluster.get(Ref("PersistentVolumeClaim", "data", namespace)) or {}).get("status", {}).get("phase")
            == "Bound"
        )
    )
