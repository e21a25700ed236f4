"""The flow against a real API server with its real controllers, and a Longhorn with bad manners."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.longhorn.flow.dump import collect, parse, verify
from components.longhorn.flow.interfaces import ClusterError, Document, Ref
from components.longhorn.flow.kubernetes_cluster import KubernetesCluster
from components.longhorn.flow.opening import open_cluster
from components.longhorn.flow.report import Outcome
from components.longhorn.flow.restore import VolumeData, restore
from sandbox.endpoints import Endpoints
from tests.support.fake_longhorn import NAMESPACE, FakeLonghorn, Manners
from tests.support.recovery_node import Killed, Killer, TickingClock
from tests.support.recovery_site import FILES, NODES, Site, make_site, volume
from tests.support.waiting import until

pytestmark = pytest.mark.engine


def gone(cluster: KubernetesCluster, ref: Ref) -> bool:
    return cluster.get(ref) is None


class Recorder:
    """The flow's own requests, in order; some of them answered with an error instead."""

    def __init__(self, cluster: KubernetesCluster, errors: Callable[[], ClusterError | None]) -> None:
        self._cluster = cluster
        self._errors = errors
        self.mutations: list[str] = []

    def get(self, ref: Ref) -> Document | None:
        self._trouble()
        return self._cluster.get(ref)

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Document]:
        self._trouble()
        return self._cluster.list(kind, namespace, labels)

    def create(self, ref: Ref, body: Document) -> Document:
        self._trouble()
        self.mutations.append(f"create {ref.kind}")
        return self._cluster.create(ref, body)

    def patch(self, ref: Ref, body: Mapping[str, Any] | Sequence[Mapping[str, Any]], subresource: str = "") -> Document:
        self._trouble()
        self.mutations.append(f"patch {ref.kind}")
        return self._cluster.patch(ref, body, subresource)

    def delete(self, ref: Ref, *, uid: str = "", grace_seconds: int | None = None) -> None:
        self._trouble()
        self.mutations.append(f"delete {ref.kind}")
        self._cluster.delete(ref, uid=uid, grace_seconds=grace_seconds)

    def replace(self, ref: Ref, body: Document, subresource: str = "") -> Document:
        return self._cluster.replace(ref, body, subresource)

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> tuple[int, str]:
        return self._cluster.execute(namespace, pod, command)

    def _trouble(self) -> None:
        error = self._errors()
        if error is not None:
            raise error


@pytest.fixture
def namespace(cluster: KubernetesCluster) -> Iterator[str]:
    name = f"shop-{uuid.uuid4().hex[:8]}"
    cluster.create(Ref("Namespace", name), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    until(lambda: cluster._ask("GET", f"/api/v1/namespaces/{name}/serviceaccounts")["items"])
    yield name
    cluster.delete(Ref("Namespace", name))


def after_the_incident(
    cluster: KubernetesCluster,
    namespace: str,
    root: Path,
    *,
    manners: Manners,
    errors: Callable[[], ClusterError | None] = lambda: None,
) -> tuple[Site, Recorder, str]:
    """A StatefulSet that still wants to run, a claim that cannot go, and old directories on a node."""
    pv = f"pvc-{uuid.uuid4()}"
    item = volume(pv_name=pv, namespace=namespace)
    site = make_site(root, item)
    site.longhorn = FakeLonghorn(cluster, NODES, manners)
    clock = TickingClock(site.longhorn.step)
    recorder = Recorder(cluster, errors)
    site.clock, site.cluster = clock, recorder  # type: ignore[assignment]
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-web-0", "namespace": namespace, "finalizers": ["example.test/never"]},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "4Mi"}},
            "storageClassName": "longhorn",
            "volumeName": pv,
        },
    }
    ref = Ref("PersistentVolumeClaim", "data-web-0", namespace)
    cluster.create(ref, claim)
    cluster.delete(ref)
    labels = {"app": "web"}
    container = {
        "name": "web",
        "image": "registry.example.test/web:1",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    template = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "4Mi"}},
            "storageClassName": "longhorn",
        },
    }
    workload = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "serviceName": "web",
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            "volumeClaimTemplates": [template],
        },
    }
    owner = Ref("StatefulSet", "web", namespace)
    cluster.create(owner, workload)
    # Its controller has seen it: from now on it would make the claim anew.
    until(lambda: ((cluster.get(owner) or {}).get("status") or {}).get("observedGeneration"))
    return site, recorder, pv


def assert_recovered(cluster: KubernetesCluster, site: Site, namespace: str, pv: str) -> None:
    assert site.restored(pv) == FILES
    assert site.devices[pv].formats == 1
    claim = cluster.get(Ref("PersistentVolumeClaim", "data-web-0", namespace))
    assert claim is not None
    assert (claim["status"]["phase"], claim["spec"]["volumeName"]) == ("Bound", pv)
    workload = cluster.get(Ref("StatefulSet", "web", namespace))
    assert workload is not None
    assert workload["spec"]["replicas"] == 2
    assert workload["status"]["readyReplicas"] >= 1
    tickets = cluster.get(Ref("longhorn.VolumeAttachment", pv, NAMESPACE))
    assert tickets is not None
    assert "recovery" not in tickets["spec"].get("attachmentTickets", {})


def test_against_bad_manners_in_the_required_order(
    cluster: KubernetesCluster, namespace: str, tmp_path: Path, dice: random.Random
) -> None:
    """LHT-013, LHT-014: the wrong node first, slow, and one answer in 25 is 409, 500 or nothing."""

    def errors() -> ClusterError | None:
        status = dice.choice([409, 500, 503, 0])
        return ClusterError(status, "injected") if dice.random() < 0.04 else None

    manners = Manners(workloads=False, wrong_node_first=True, slow=2)
    site, recorder, pv = after_the_incident(cluster, namespace, tmp_path, manners=manners, errors=errors)
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert_recovered(cluster, site, namespace, pv)
    assert [name for name, node in site.longhorn.attached if name == pv and node != "node1"] == [pv]
    order = list(dict.fromkeys(recorder.mutations))
    assert order == [
        "patch StatefulSet",
        "patch PersistentVolumeClaim",
        "create longhorn.Volume",
        "patch longhorn.VolumeAttachment",
        "patch longhorn.Volume",
        "create PersistentVolume",
        "create PersistentVolumeClaim",
    ]
    assert recorder.mutations.index("patch StatefulSet") == 0
    assert recorder.mutations[-1] == "patch StatefulSet"
    assert recorder.mutations.count("create longhorn.Volume") == 1


def test_killed_and_run_again(
    cluster: KubernetesCluster, namespace: str, tmp_path: Path, dice: random.Random, long_run: bool
) -> None:
    site, _recorder, pv = after_the_incident(cluster, namespace, tmp_path, manners=Manners(workloads=False))
    killed = 0
    for at in sorted(dice.sample(range(25, 160), 24 if long_run else 3)):
        try:
            site.run(Killer(at, after=dice.random() < 0.5))
        except Killed:
            killed += 1
    assert killed
    report = site.run()
    assert report.outcome is Outcome.RECOVERED, report.text()
    assert_recovered(cluster, site, namespace, pv)


def test_a_restored_volume_is_empty_and_said_to_be(cluster: KubernetesCluster, namespace: str, tmp_path: Path) -> None:
    """GLK-017, LHT-004 variant A: Volumes, PersistentVolumes and claims come back; the data does not."""
    site, _recorder, pv = after_the_incident(cluster, namespace, tmp_path, manners=Manners(workloads=False))
    site.run()
    dump = parse(collect(cluster, 1_800_000_000.0).text())
    assert verify(dump, 1_800_000_000.0).good
    used = [item for item in dump.index["directories"] if item["volume"] == pv]
    assert len(used) == 3
    assert all(item["node"] and item["replica"] for item in used)
    workload = Ref("StatefulSet", "web", namespace)
    cluster.delete(workload)
    until(lambda: not cluster.list("Pod", namespace))
    for ref in (
        Ref("PersistentVolumeClaim", "data-web-0", namespace),
        Ref("PersistentVolume", pv),
        Ref("longhorn.Volume", pv, NAMESPACE),
    ):
        cluster.delete(ref)
        until(partial(gone, cluster, ref))
    for replica in cluster.list("longhorn.Replica", NAMESPACE, f"longhornvolume={pv}"):
        cluster.delete(Ref("longhorn.Replica", replica["metadata"]["name"], NAMESPACE))
    # Longhorn never uses a directory's name twice (GLK-016).
    site.longhorn.generation += 1
    clock = TickingClock(site.longhorn.step)
    report = restore(cluster, dump, site.settings, clock, claims=[f"{namespace}/data-web-0"])
    assert report.data == {pv: VolumeData.EMPTY}
    assert not report.complete
    assert report.held == [f"StatefulSet {namespace}/web"]
    until(
        lambda: (cluster.get(Ref("PersistentVolumeClaim", "data-web-0", namespace)) or {})["status"]["phase"] == "Bound"
    )


def test_the_client_says_what_the_server_says(cluster: KubernetesCluster, namespace: str) -> None:
    ref = Ref("longhorn.Volume", "pvc-x", NAMESPACE)
    body = {"apiVersion": "longhorn.io/v1beta2", "kind": "Volume", "metadata": {"name": "pvc-x"}}
    with pytest.raises(ClusterError, match="numberOfReplica") as error:
        cluster.create(ref, body | {"spec": {"numberOfReplica": 3}})
    assert not error.value.passing
    claim = Ref("PersistentVolumeClaim", "none", namespace)
    assert cluster.get(claim) is None
    cluster.delete(claim)
    with pytest.raises(ClusterError) as missing:
        cluster.patch(claim, {"metadata": {"labels": {"a": "b"}}})
    assert missing.value.missing
    made = cluster.create(ref, body | {"spec": {"numberOfReplicas": 1}})
    with pytest.raises(ClusterError) as other:
        cluster.delete(ref, uid="another")
    assert other.value.status == 409
    cluster.delete(ref, uid=made["metadata"]["uid"])


def test_no_answer_is_an_error_that_passes(sandbox: Endpoints) -> None:
    document = yaml.safe_load(sandbox.kubernetes.kubeconfig)
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    nobody = open_cluster(yaml.safe_dump(document))
    with pytest.raises(ClusterError) as error:
        nobody.get(Ref("Namespace", "default"))
    assert error.value.status == 0
    assert error.value.passing


@pytest.mark.parametrize("text", ["a: [\n", "just\ntext\n", "clusters: []\ncontexts: []\n"])
def test_a_bad_kubeconfig_is_one_sentence(text: str) -> None:
    with pytest.raises(ClusterError):
        open_cluster(text)
