"""Longhorn's manager and the cluster's controllers, as far as the flow meets them, with all their bad manners.

:meth:`FakeLonghorn.step` reconciles once, through the same interface that the flow uses, so it serves a cluster in
memory and a real API server alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from components.longhorn.flow.facts import deep, finished
from components.longhorn.flow.interfaces import KINDS, Cluster, ClusterError, Document, Ref

NAMESPACE = "longhorn-system"


@dataclass
class Manners:
    """How badly it behaves."""

    wrong_node_first: bool = False
    """The first attachment goes to another node."""
    slow: int = 0
    """Reconciliations that pass before a volume gets a state."""
    never_schedules: bool = False
    loses_volume_once: bool = False
    """The first Volume disappears (FM-11)."""
    keeps_pods: bool = False
    """A stopped workload's pods never end."""
    workloads: bool = True
    """Whether it plays the workload controllers and the binder too; a real cluster has its own."""
    recreates_claims: bool = False
    """A StatefulSet with replicas makes its claim anew, on a fresh volume."""


@dataclass
class FakeLonghorn:
    """The controllers."""

    cluster: Cluster
    nodes: tuple[str, ...]
    manners: Manners = field(default_factory=Manners)
    steps: int = 0
    generation: int = 0
    """Directories of another generation have other names."""
    attached: list[tuple[str, str]] = field(default_factory=list)
    _delays: dict[str, int] = field(default_factory=dict)
    _lost: bool = False
    _misattached: set[str] = field(default_factory=set)

    def step(self) -> None:
        """Reconcile everything once."""
        self.steps += 1
        for volume in self.cluster.list("longhorn.Volume", NAMESPACE):
            self._volume(volume)
        if self.manners.workloads:
            self._workloads()
            self._bind()

    def _volume(self, volume: Document) -> None:
        name = volume["metadata"]["name"]
        ref = Ref("longhorn.Volume", name, NAMESPACE)
        if self.manners.loses_volume_once and not self._lost:
            self._lost = True
            self.cluster.delete(ref)
            return
        self._delays.setdefault(name, self.manners.slow)
        if self._delays[name] > 0:
            self._delays[name] -= 1
            return
        for index in range(int(volume["spec"].get("numberOfReplicas", 1))):
            self._ensure(
                Ref("longhorn.Replica", f"{name}-r-{index}", NAMESPACE),
                labels={"longhornvolume": name},
                spec={
                    "volumeName": name,
                    "nodeID": self.nodes[index % len(self.nodes)],
                    "dataDirectoryName": _new(name, index, self.generation),
                },
            )
        holder = Ref("longhorn.VolumeAttachment", name, NAMESPACE)
        self._ensure(holder, spec={"volume": name, "attachmentTickets": {}})
        tickets = deep(self.cluster.get(holder), "spec", "attachmentTickets") or {}
        node = next((ticket["nodeID"] for ticket in tickets.values()), "")
        if node and self.manners.wrong_node_first and name not in self._misattached:
            self._misattached.add(name)
            node = next(other for other in self.nodes if other != node)
        current = str(deep(volume, "status", "currentNodeID") or "")
        if node and deep(volume, "status", "state") == "attached":
            node = current  # a ticket elsewhere does not pre-empt an attachment (GLK-023)
        if node and not current:
            self.attached.append((name, node))
        scheduled = "False" if self.manners.never_schedules else "True"
        status = {
            "state": "attached" if node else "detached",
            "currentNodeID": node,
            "robustness": "healthy" if node else "unknown",
            "actualSize": deep(volume, "status", "actualSize") or 0,
            "conditions": [{"type": "Scheduled", "status": scheduled, "reason": "", "message": "disk full"}],
        }
        if {key: deep(volume, "status", key) for key in status} != status:
            self.cluster.patch(ref, {"status": status}, "status")

    def _workloads(self) -> None:
        for kind in ("Deployment", "StatefulSet"):
            for workload in self.cluster.list(kind):
                self._workload(kind, workload)

    def _workload(self, kind: str, workload: Document) -> None:
        namespace, name = workload["metadata"]["namespace"], workload["metadata"]["name"]
        wanted = int(workload["spec"].get("replicas", 1))
        claims = workload["spec"].get("claims", [])
        if wanted and self.manners.recreates_claims:
            for claim in claims:
                self._ensure(Ref("PersistentVolumeClaim", claim, namespace), spec={"accessModes": ["ReadWriteOnce"]})
        present = [self.cluster.get(Ref("PersistentVolumeClaim", claim, namespace)) for claim in claims]
        bound = all(deep(claim, "status", "phase") == "Bound" for claim in present)
        pods = [
            pod
            for pod in self.cluster.list("Pod", namespace)
            if any(
                item.get("uid") == workload["metadata"]["uid"] for item in pod["metadata"].get("ownerReferences", [])
            )
        ]
        running = [pod for pod in pods if not finished(pod)]
        for index in range(wanted if bound else 0):
            self._ensure(
                Ref("Pod", f"{name}-{index}", namespace),
                owner=workload,
                kind=kind,
                spec={"volumes": [{"persistentVolumeClaim": {"claimName": claim}} for claim in claims]},
                status={"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            )
        if not wanted and not self.manners.keeps_pods:
            for pod in running:
                self.cluster.delete(Ref("Pod", pod["metadata"]["name"], namespace))
        count = len(running) if self.manners.keeps_pods or wanted else 0
        ready = wanted if bound else 0
        status = {"replicas": count, "readyReplicas": ready}
        if {key: deep(workload, "status", key) for key in status} != status:
            self.cluster.patch(Ref(kind, name, namespace), {"status": status}, "status")

    def _bind(self) -> None:
        claims = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item
            for item in self.cluster.list("PersistentVolumeClaim")
        }
        for (namespace, name), claim in claims.items():
            target = claim["spec"].get("volumeName")
            pv = self.cluster.get(Ref("PersistentVolume", target)) if target else None
            ref = Ref("PersistentVolumeClaim", name, namespace)
            if claim["metadata"].get("deletionTimestamp"):
                continue
            if pv is not None and not deep(pv, "spec", "claimRef"):
                reference = {"namespace": namespace, "name": name, "uid": claim["metadata"]["uid"]}
                self.cluster.patch(Ref("PersistentVolume", target), {"spec": {"claimRef": reference}})
                self.cluster.patch(Ref("PersistentVolume", target), {"status": {"phase": "Bound"}}, "status")
                self.cluster.patch(ref, {"status": {"phase": "Bound"}}, "status")
            elif not target and self.manners.recreates_claims:
                fresh = f"pvc-fresh-{claim['metadata']['uid']}"
                self._ensure(Ref("longhorn.Volume", fresh, NAMESPACE), spec={"size": "1", "numberOfReplicas": 1})
                self.cluster.patch(ref, {"spec": {"volumeName": fresh}})
                self.cluster.patch(ref, {"status": {"phase": "Bound"}}, "status")
            elif not deep(claim, "status", "phase"):
                self.cluster.patch(ref, {"status": {"phase": "Pending"}}, "status")
        for pv in self.cluster.list("PersistentVolume"):
            reference = deep(pv, "spec", "claimRef")
            ref = Ref("PersistentVolume", pv["metadata"]["name"])
            holder = claims.get((reference["namespace"], reference["name"])) if reference else None
            phase = "Available" if not reference else "Bound" if holder else "Released"
            if holder and reference and holder["metadata"]["uid"] != reference.get("uid"):
                phase = "Released"
            if deep(pv, "status", "phase") != phase:
                self.cluster.patch(ref, {"status": {"phase": phase}}, "status")

    def _ensure(
        self, ref: Ref, *, owner: Document | None = None, kind: str = "", labels: Any = None, **parts: Any
    ) -> None:
        if self.cluster.get(ref) is not None:
            return
        metadata: Document = {"name": ref.name, "namespace": ref.namespace, "labels": labels or {}}
        if owner is not None:
            metadata["ownerReferences"] = [
                {"kind": kind, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
            ]
        known = KINDS[ref.kind]
        try:
            self.cluster.create(
                ref, {"apiVersion": known.api_version, "kind": known.kind, "metadata": metadata, **parts}
            )
        except ClusterError as error:
            if error.status != 409:
                raise


def _new(name: str, index: int, generation: int) -> str:
    return f"{name}-{hashlib.sha256(f'{name}{index}{generation}'.encode()).hexdigest()[:8]}"


def managers(nodes: Iterable[str]) -> list[tuple[Ref, Document]]:
    """The pods and objects of a healthy Longhorn."""
    found: list[tuple[Ref, Document]] = [(Ref("CSIDriver", "driver.longhorn.io"), {"spec": {}})]
    for node in nodes:
        pod = {
            "metadata": {"labels": {"app": "longhorn-manager"}},
            "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }
        found.append((Ref("Pod", f"longhorn-manager-{node}", NAMESPACE), pod))
    return found
