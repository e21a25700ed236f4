"""Phase 8: the PersistentVolume and its claim, pinned to each other (LHR-140 .. LHR-148, DT-6)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from .decide_stop import scale_down, strip_terminating
from .facts import ClusterFacts, deep, uid
from .interfaces import CSI_DRIVER, Document, Ref
from .steps import Act, Create, Delete, Done, Patch, Step, Stop, Wait
from .volumes import FlowSettings, VolumeInput

__all__ = ["decide_bind"]

_EMPTY_FRACTION: Final = 8
_DROPPED_ANNOTATIONS: Final = (
    "pv.kubernetes.io/",
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "kubectl.kubernetes.io/last-applied-configuration",
    "control-plane.alpha.kubernetes.io/",
)


def decide_bind(
    facts: ClusterFacts,
    volume: VolumeInput,
    settings: FlowSettings,
    dumped: tuple[Document | None, Document | None] = (None, None),
) -> Step:
    """Bring both into being and bound; ``dumped`` are PersistentVolume and claim of the last dump, if there is one."""
    if facts.volume is None or deep(facts.volume, "metadata", "deletionTimestamp"):
        # A claim would be Bound all the same, to nothing.
        return Stop("volume-gone", f"the Volume {volume.pv_name} has gone since its data was copied; run again (FM-11)")
    return (
        _free(facts, volume, settings)
        or _pv(facts, volume, settings, dumped[0])
        or _claim(facts, volume, settings, dumped[1])
    )


def _free(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings) -> Step | None:
    """Let go what is being deleted, once nothing uses it: a claim may have been deleted long after the recovery."""
    if not any(deep(item, "metadata", "deletionTimestamp") for item in (facts.pv, facts.claim)):
        return None
    return scale_down(facts, volume, settings) or strip_terminating(facts, settings)


def _pv(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings, dumped: Document | None) -> Step | None:
    ref = Ref("PersistentVolume", volume.pv_name)
    present = facts.pv
    if present is None:
        return Act(f"create {ref}", Create(ref, pv_manifest(volume, settings, dumped)))
    handle = deep(present, "spec", "csi", "volumeHandle")
    if handle != volume.pv_name:
        return Stop("pv-differs", f"{ref} points to {handle!r} instead of the Longhorn volume {volume.pv_name}")
    if deep(present, "spec", "persistentVolumeReclaimPolicy") != "Retain":
        return Act(f"set {ref} to Retain", Patch(ref, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}))
    claim_ref = deep(present, "spec", "claimRef")
    if claim_ref and (claim_ref.get("namespace"), claim_ref.get("name")) != (volume.namespace, volume.pvc_name):
        place = f"{claim_ref.get('namespace')}/{claim_ref.get('name')}"
        return Stop("pv-taken", f"{ref} belongs to the claim {place}")
    if deep(present, "status", "phase") == "Released":
        # An apply does not remove it (LHR-142, FM-19).
        patch = Patch(ref, [{"op": "remove", "path": "/spec/claimRef"}])
        return Act(f"let {ref} forget the claim that is gone", patch)
    return None


def _claim(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings, dumped: Document | None) -> Step:
    ref = Ref("PersistentVolumeClaim", volume.pvc_name, volume.namespace)
    claim = facts.claim
    if claim is None:
        return Act(f"create {ref}, pinned", Create(ref, claim_manifest(volume, settings, dumped)))
    bound_to = str(deep(claim, "spec", "volumeName") or "")
    if bound_to != volume.pv_name:
        return _wrong_claim(facts, claim, bound_to, volume, settings)
    phases = {"claim": deep(claim, "status", "phase"), "volume": deep(facts.pv, "status", "phase")}
    if phases["claim"] != "Bound" or phases["volume"] != "Bound":
        seen = {**phases, "class": deep(claim, "spec", "storageClassName"), "modes": deep(claim, "spec", "accessModes")}
        return Wait(f"{ref} is bound", settings.short_wait_seconds, seen)
    return Done({"claim": phases["claim"]})


def _wrong_claim(
    facts: ClusterFacts, claim: Document, bound_to: str, volume: VolumeInput, settings: FlowSettings
) -> Step:
    """DT-6: a controller made the claim anew, on another volume."""
    ref = Ref("PersistentVolumeClaim", volume.pvc_name, volume.namespace)
    if bound_to and not _surely_empty(facts, volume, settings):
        return Stop(
            "claim-elsewhere",
            f"{ref} is bound to {bound_to}, which may hold data: look into it, then delete the claim by hand",
        )
    # The controller would make it anew as long as it runs (LHR-145).
    stopped = scale_down(facts, volume, settings)
    if stopped is not None:
        return stopped
    other = facts.pv_elsewhere
    if other is not None and deep(other, "spec", "persistentVolumeReclaimPolicy") != "Retain":
        # A few rows may be in it all the same, and they would go with the claim.
        kept = Ref("PersistentVolume", bound_to)
        return Act(f"set {kept} to Retain", Patch(kept, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}))
    what = f"delete {ref}, which is {f'bound to the empty {bound_to}' if bound_to else 'not bound'}"
    return Act(what, Delete(ref, uid(claim)), destructive=True)


def _surely_empty(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings) -> bool:
    other = facts.bound_elsewhere
    if other is None or facts.volume is None:
        return False
    # Younger than the Volume that this flow made: then it came with the claim, after the workload's data was lost.
    made, ours = (_time(deep(item, "metadata", "creationTimestamp")) for item in (other, facts.volume))
    younger = made >= ours or bool(settings.incident_time and made > _time(settings.incident_time))
    limit = min(settings.empty_volume_bytes, volume.size // _EMPTY_FRACTION)
    size = deep(other, "status", "actualSize")
    return younger and isinstance(size, int) and size <= limit


def _time(text: Any) -> datetime:  # noqa: ANN401 - a field of an object
    return datetime.fromisoformat(str(text))


def pv_manifest(volume: VolumeInput, settings: FlowSettings, dumped: Document | None) -> Document:
    """Return the PersistentVolume: what the dump says, else the described defaults (LHR-140, LHR-148)."""
    spec = deep(dumped, "spec") or {}
    csi = spec.get("csi") or {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume.pv_name,
            "labels": _kept(dumped, "labels"),
            "annotations": {**_kept(dumped, "annotations"), "pv.kubernetes.io/provisioned-by": CSI_DRIVER},
        },
        "spec": {
            "accessModes": [volume.access_mode],
            "capacity": {"storage": volume.size_human},
            "csi": {
                "driver": CSI_DRIVER,
                "fsType": csi.get("fsType", "ext4"),
                "volumeHandle": volume.pv_name,
                "volumeAttributes": csi.get("volumeAttributes")
                or {
                    "dataEngine": "v1",
                    "dataLocality": "disabled",
                    "disableRevisionCounter": "true",
                    "numberOfReplicas": str(settings.number_of_replicas),
                    "staleReplicaTimeout": "30",
                },
            },
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": spec.get("storageClassName", settings.storage_class),
            "volumeMode": spec.get("volumeMode", "Filesystem"),
        },
    }


def claim_manifest(volume: VolumeInput, settings: FlowSettings, dumped: Document | None) -> Document:
    """Return the claim, pinned to its volume, with the labels and annotations it had (LHR-143, LHR-147)."""
    spec = deep(dumped, "spec") or {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": volume.pvc_name,
            "namespace": volume.namespace,
            "labels": _kept(dumped, "labels"),
            "annotations": _kept(dumped, "annotations"),
        },
        "spec": {
            "accessModes": [volume.access_mode],
            "resources": {"requests": {"storage": volume.size_human}},
            "storageClassName": spec.get("storageClassName", settings.storage_class),
            "volumeMode": spec.get("volumeMode", "Filesystem"),
            "volumeName": volume.pv_name,
        },
    }


def _kept(dumped: Document | None, part: str) -> dict[str, str]:
    """Keep what people and their tools wrote, not what controllers did."""
    found = deep(dumped, "metadata", part) or {}
    return {key: value for key, value in found.items() if not key.startswith(_DROPPED_ANNOTATIONS)}
