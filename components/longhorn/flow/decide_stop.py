"""Phases 3 and 4: nothing uses the volume, the names are free, an empty Volume stands ready (LHR-070 .. LHR-092)."""

from __future__ import annotations

from dataclasses import dataclass

from .facts import ClusterFacts, deep, finished, uid
from .interfaces import Document, Ref, name_of
from .marks import REPLICAS, SELF_HEAL, SOURCE, mark_of
from .steps import Act, Create, Delete, Done, Patch, Step, Stop, Wait
from .volumes import FlowSettings, VolumeInput

__all__ = ["Source", "decide_prepare", "decide_quiet", "scale_down", "strip_terminating"]


@dataclass(frozen=True)
class Source:
    """The chosen replica directory, by the digest of its backup."""

    node: str
    directory: str
    digest: str

    @property
    def mark(self) -> str:
        """What a Volume made for it carries."""
        return f"{self.digest} {self.node}/{self.directory}"

    @classmethod
    def from_mark(cls, mark: str) -> Source | None:
        """Read it back; ``None`` for any other text."""
        digest, _, place = mark.partition(" ")
        node, _, directory = place.partition("/")
        return cls(node, directory, digest) if digest and node and directory else None


def decide_prepare(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings, source: Source) -> Step:
    """Phase 3. The order is the requirement: workload, PersistentVolume, claim, Volume."""
    return (
        scale_down(facts, volume, settings)
        or _retain(facts)
        or strip_terminating(facts, settings)
        or _volume(facts, volume, settings, source)
    )


def decide_quiet(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings) -> Step:
    """Phase 4: stop once more, and remove failed pods that hold on to the volume (LHR-090 .. LHR-092)."""
    step = scale_down(facts, volume, settings)
    if step is not None:
        return step
    removed = _remove_failed(facts, volume)
    if removed is not None:
        return removed
    if facts.pods and any(deep(pod, "metadata", "deletionTimestamp") for pod in facts.pods):
        return Wait("the failed pods go", settings.short_wait_seconds, [name_of(pod) for pod in facts.pods])
    return Done()


def _remove_failed(facts: ClusterFacts, volume: VolumeInput) -> Act | None:
    """Remove a failed pod that refers to this claim, and no other of its namespace (DEF-17)."""
    for pod in facts.pods:
        if deep(pod, "status", "phase") == "Failed" and not deep(pod, "metadata", "deletionTimestamp"):
            ref = Ref("Pod", name_of(pod), volume.namespace)
            return Act(f"remove the failed pod {name_of(pod)}, which holds the volume", Delete(ref, uid(pod)))
    return None


def scale_down(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings) -> Step | None:
    """Stop what uses the volume; ``None`` when it is proven that nothing does (INV-005, INV-012, DEF-11)."""
    paused = _pause_self_heal(facts, settings)
    if paused is not None:
        return paused
    if facts.workload is not None:
        step = _stop_workload(facts.workload, facts, volume, settings)
        if step is not None:
            return step
    return _users(facts, volume, settings)


def _users(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings) -> Step | None:
    users = [pod for pod in facts.pods if not finished(pod)]
    if users:
        names = ", ".join(name_of(pod) for pod in users)
        if facts.workload is None or not volume.scale_down:
            return Stop("in-use", f"pods mount the claim: {names}; name their workload, or stop them (INV-005)")
        return Wait(f"pods {names} let go of the claim", settings.short_wait_seconds, names)
    if facts.share_managers:
        names = ", ".join(name_of(pod) for pod in facts.share_managers)
        return Wait(f"share managers {names} end", settings.short_wait_seconds, names)
    if facts.node_attachments:
        removed = _remove_failed(facts, volume)  # what keeps the kubelet from letting go (FM-15)
        if removed is not None:
            return removed
        held = [f"{name_of(item)} on {deep(item, 'spec', 'nodeName')}" for item in facts.node_attachments]
        return Wait("kubelets let go of the volume", settings.long_wait_seconds, held)
    return None


def strip_terminating(facts: ClusterFacts, settings: FlowSettings) -> Step | None:
    """Let a PersistentVolume and a claim go that are already being deleted; healthy ones keep theirs (DEF-14)."""
    for document, kind in ((facts.pv, "PersistentVolume"), (facts.claim, "PersistentVolumeClaim")):
        if document is None or not deep(document, "metadata", "deletionTimestamp"):
            continue
        ref = Ref(kind, name_of(document), str(document["metadata"].get("namespace", "")))
        if deep(document, "metadata", "finalizers"):
            # With the id, so that an object that was made anew in between keeps its protection.
            body = {"metadata": {"uid": uid(document), "finalizers": None}}
            return Act(f"clear the finalizers of {ref}, which is being deleted", Patch(ref, body), destructive=True)
        return Wait(f"{ref} is gone", settings.short_wait_seconds, deep(document, "metadata", "deletionTimestamp"))
    return None


def _pause_self_heal(facts: ClusterFacts, settings: FlowSettings) -> Act | None:
    application = facts.application
    if application is None or deep(application, "spec", "syncPolicy", "automated", "selfHeal") is not True:
        return None
    ref = Ref("Application", name_of(application), settings.gitops_namespace)
    body = {
        "metadata": {"annotations": {SELF_HEAL: "true"}},
        "spec": {"syncPolicy": {"automated": {"selfHeal": False}}},
    }
    return Act(f"pause self-healing of {ref}, which would start the workload again", Patch(ref, body))


def _stop_workload(workload: Document, facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings) -> Step | None:
    ref = Ref(volume.workload_kind.value, volume.workload_name, volume.namespace)
    wanted = deep(workload, "spec", "replicas")
    replicas = 1 if wanted is None else int(wanted)
    recorded = mark_of(workload, REPLICAS)
    if not volume.scale_down:
        # Its controller would make the claim anew while this goes on (LHR-071).
        reason = f"{ref} wants {replicas} replicas, and scale_down: false leaves it to you to stop it (INV-005)"
        return Stop("in-use", reason) if replicas else None
    if replicas or not recorded:
        # One request: the count before is never lost, whatever happens next (DEF-18).
        count = recorded or str(replicas)
        body = {"metadata": {"annotations": {REPLICAS: count}}, "spec": {"replicas": 0}}
        return Act(f"scale {ref} from {replicas} to 0", Patch(ref, body))
    running = [name_of(pod) for pod in facts.workload_pods if not finished(pod)]
    if running or int(deep(workload, "status", "replicas") or 0):
        return Wait(f"{ref} has no pods", settings.short_wait_seconds, running)
    return None


def _retain(facts: ClusterFacts) -> Act | None:
    if facts.pv is None or deep(facts.pv, "spec", "persistentVolumeReclaimPolicy") == "Retain":
        return None
    ref = Ref("PersistentVolume", name_of(facts.pv))
    # Otherwise the provisioner deletes the Volume when the claim goes (LHR-079).
    return Act(f"set {ref} to Retain", Patch(ref, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}))


def _volume(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings, source: Source) -> Step:
    ref = Ref("longhorn.Volume", volume.pv_name, settings.longhorn_namespace)
    present = facts.volume
    if present is None:
        if facts.replicas:
            names = [name_of(replica) for replica in facts.replicas]
            return Wait("the replicas of an earlier Volume are gone", settings.long_wait_seconds, names)
        return Act(f"create {ref}", Create(ref, volume_manifest(volume, settings, source)))
    if deep(present, "metadata", "deletionTimestamp"):
        return Wait(f"{ref} is gone", settings.long_wait_seconds)
    if mark_of(present, SOURCE) != source.mark:
        return Stop(
            "volume-exists",
            f"{ref} exists and was not made for this recovery: recover the control plane or the objects instead "
            f"(`recover diagnose`), nothing was written to it (LHR-002)",
        )
    expected = {"size": volume.size_bytes, "accessMode": volume.longhorn_access_mode}
    differs = {
        key: deep(present, "spec", key) for key, value in expected.items() if deep(present, "spec", key) != value
    }
    if differs:
        return Stop("volume-differs", f"{ref} has {differs} instead of {expected}")
    return _ready(present, facts, ref, settings)


def _ready(present: Document, facts: ClusterFacts, ref: Ref, settings: FlowSettings) -> Step:
    conditions = deep(present, "status", "conditions") or []
    if not facts.replicas:
        return Wait(f"{ref} has replicas", settings.long_wait_seconds, conditions)
    state = str(deep(present, "status", "state") or "")
    if not state:
        return Wait(f"{ref} has a state", settings.long_wait_seconds, conditions)
    refused = [item for item in conditions if item.get("type") == "Scheduled" and item.get("status") != "True"]
    if refused:
        return Wait(f"{ref} can be scheduled", settings.long_wait_seconds, refused)
    return Done({"replicas": [name_of(replica) for replica in facts.replicas], "state": state})


def volume_manifest(volume: VolumeInput, settings: FlowSettings, source: Source) -> Document:
    """Return the Longhorn Volume (LHR-081)."""
    return {
        "apiVersion": "longhorn.io/v1beta2",
        "kind": "Volume",
        "metadata": {
            "name": volume.pv_name,
            "namespace": settings.longhorn_namespace,
            "annotations": {SOURCE: source.mark},
        },
        "spec": {
            "accessMode": volume.longhorn_access_mode,
            "dataEngine": "v1",
            "frontend": "blockdev",
            "numberOfReplicas": settings.number_of_replicas,
            "size": volume.size_bytes,
        },
    }
