"""What the cluster says about one volume, read once and handed to the decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .interfaces import Cluster, ClusterError, Document, Ref, name_of
from .marks import REPLICAS, SELF_HEAL, mark_of
from .volumes import FlowSettings, VolumeInput, WorkloadKind, WorkloadRef

__all__ = [
    "ClusterFacts",
    "claims_of",
    "deep",
    "finished",
    "mounts_claim",
    "observe",
    "ready_replicas",
    "uid",
    "workload_of",
]


@dataclass(frozen=True)
class ClusterFacts:
    """Every object that matters to one volume; ``None``: it does not exist."""

    claim: Document | None
    pv: Document | None
    volume: Document | None
    ticket_holder: Document | None
    """Longhorn's VolumeAttachment."""
    replicas: tuple[Document, ...]
    node_attachments: tuple[Document, ...]
    """Kubernetes' VolumeAttachments of the volume."""
    pods: tuple[Document, ...]
    """Pods, in any state, that mount the claim."""
    workload: Document | None
    workload_pods: tuple[Document, ...]
    """Pods which the workload owns."""
    share_managers: tuple[Document, ...]
    """Pods that export a ReadWriteMany volume."""
    application: Document | None
    """The ArgoCD Application that would undo a change of the workload."""
    bound_elsewhere: Document | None
    """The Longhorn Volume to which the claim is bound when that is another one."""
    pv_elsewhere: Document | None = None
    """The PersistentVolume between the two."""
    awaited: tuple[str, ...] = ()
    """Workloads that must be ready before this one starts, and are not (VAR-008)."""
    held_back: tuple[str, ...] = ()
    """Other workloads of a paused Application that a recovery stopped and nobody has started again."""


def observe(cluster: Cluster, volume: VolumeInput, settings: FlowSettings) -> ClusterFacts:
    """Read the cluster. Raises ClusterError."""
    longhorn, pv_name = settings.longhorn_namespace, volume.pv_name
    claim = cluster.get(Ref("PersistentVolumeClaim", volume.pvc_name, volume.namespace))
    pods = cluster.list("Pod", volume.namespace)
    workload = workload_of(cluster, volume)
    bound_to = deep(claim, "spec", "volumeName") or ""
    attachments = cluster.list("VolumeAttachment")
    application = _application(cluster, workload, settings)
    return ClusterFacts(
        claim=claim,
        pv=cluster.get(Ref("PersistentVolume", pv_name)),
        volume=cluster.get(Ref("longhorn.Volume", pv_name, longhorn)),
        ticket_holder=cluster.get(Ref("longhorn.VolumeAttachment", pv_name, longhorn)),
        replicas=tuple(cluster.list("longhorn.Replica", longhorn, f"longhornvolume={pv_name}")),
        node_attachments=tuple(
            item for item in attachments if deep(item, "spec", "source", "persistentVolumeName") == pv_name
        ),
        pods=tuple(pod for pod in pods if mounts_claim(pod, volume.pvc_name)),
        workload=workload,
        workload_pods=tuple(pod for pod in pods if workload is not None and _owned(cluster, pod, workload)),
        share_managers=tuple(
            pod for pod in cluster.list("Pod", longhorn, f"longhorn.io/share-manager={pv_name}") if not finished(pod)
        ),
        application=application,
        bound_elsewhere=(
            cluster.get(Ref("longhorn.Volume", bound_to, longhorn)) if bound_to not in {"", pv_name} else None
        ),
        pv_elsewhere=cluster.get(Ref("PersistentVolume", bound_to)) if bound_to not in {"", pv_name} else None,
        awaited=tuple(str(other) for other in volume.scale_up_after if not ready_replicas(_read(cluster, other))),
        held_back=tuple(_held_back(cluster, workload)) if mark_of(application, SELF_HEAL) else (),
    )


def workload_of(cluster: Cluster, volume: VolumeInput) -> Document | None:
    """Read the workload that the input names; ``None`` when it names none or there is none."""
    return _read(cluster, volume.workload) if volume.workload is not None else None


def ready_replicas(workload: Document | None) -> int:
    """Count the replicas that are ready, by the workload's own status and never by a label of its pods (LHR-152)."""
    return int(deep(workload, "status", "readyReplicas") or 0)


def claims_of(workload: Document, kind: WorkloadKind, claim: str) -> bool:
    """Whether a workload's pods mount a claim, by its template (VAR-007)."""
    volumes = deep(workload, "spec", "template", "spec", "volumes") or []
    if any(deep(item, "persistentVolumeClaim", "claimName") == claim for item in volumes):
        return True
    templates = deep(workload, "spec", "volumeClaimTemplates") or [] if kind is WorkloadKind.STATEFUL_SET else []
    prefixes = [f"{name_of(template)}-{name_of(workload)}-" for template in templates]
    return any(claim.startswith(prefix) and claim[len(prefix) :].isdigit() for prefix in prefixes)


def mounts_claim(pod: Document, claim: str) -> bool:
    """Whether a pod refers to a claim."""
    volumes = deep(pod, "spec", "volumes") or []
    return any(deep(item, "persistentVolumeClaim", "claimName") == claim for item in volumes)


def finished(pod: Document) -> bool:
    """Whether a pod's containers have ended for good."""
    return deep(pod, "status", "phase") in {"Succeeded", "Failed"}


def uid(document: Document) -> str:
    """Return an object's unique id."""
    return str(document["metadata"].get("uid", ""))


def deep(value: Any, *steps: str) -> Any:  # noqa: ANN401 - any part of an object
    """Read a nested value; ``None`` where a step is missing."""
    for step in steps:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def _read(cluster: Cluster, workload: WorkloadRef) -> Document | None:
    return cluster.get(Ref(workload.kind.value, workload.name, workload.namespace))


def _owned(cluster: Cluster, pod: Document, workload: Document) -> bool:
    """Whether the workload owns a pod, directly or through a ReplicaSet (LHR-154)."""
    for owner in deep(pod, "metadata", "ownerReferences") or []:
        if owner.get("uid") == uid(workload):
            return True
        if owner.get("kind") == "ReplicaSet":
            namespace = str(pod["metadata"].get("namespace", ""))
            between = cluster.get(Ref("ReplicaSet", str(owner["name"]), namespace))
            above = deep(between, "metadata", "ownerReferences") or []
            if any(item.get("uid") == uid(workload) for item in above):
                return True
    return False


def _application_name(workload: Document | None) -> str:
    """Name the Application that manages a workload: ArgoCD marks what it applies (LHR-019)."""
    tracking = str((deep(workload, "metadata", "annotations") or {}).get("argocd.argoproj.io/tracking-id", ""))
    label = str((deep(workload, "metadata", "labels") or {}).get("app.kubernetes.io/instance", ""))
    return tracking.partition(":")[0] or label


def _held_back(cluster: Cluster, workload: Document | None) -> Iterator[str]:
    name = _application_name(workload)
    for kind in WorkloadKind:
        for other in cluster.list(kind.value):
            stopped = mark_of(other, REPLICAS) and deep(other, "spec", "replicas") == 0
            if stopped and _application_name(other) == name and uid(other) != uid(workload or {}):
                yield f"{kind.value} {deep(other, 'metadata', 'namespace')}/{name_of(other)}"


def _application(cluster: Cluster, workload: Document | None, settings: FlowSettings) -> Document | None:
    """Read the Application that manages the workload."""
    name = _application_name(workload)
    if not name:
        return None
    try:
        return cluster.get(Ref("Application", name, settings.gitops_namespace))
    except ClusterError as error:
        if error.missing:  # no ArgoCD in this cluster
            return None
        raise
