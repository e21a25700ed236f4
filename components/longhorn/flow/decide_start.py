"""Phase 9: the workload as it was before, proven to work (LHR-150 .. LHR-157)."""

from __future__ import annotations

from collections.abc import Sequence

from .facts import ClusterFacts, deep, ready_replicas
from .interfaces import Document, Ref, name_of
from .marks import REPLICAS, SELF_HEAL, mark_of
from .steps import Act, Done, Execute, Patch, Step, Wait
from .volumes import FlowSettings, VolumeInput

__all__ = ["decide_start", "ready_pod", "verification"]


def decide_start(facts: ClusterFacts, volume: VolumeInput, settings: FlowSettings) -> Step:
    """Scale back, wait for one ready replica, and give automation back what it had (LHR-151, LHR-152, CLR-041)."""
    workload = facts.workload
    if workload is not None and volume.scale_up:
        ref = Ref(volume.workload_kind.value, volume.workload_name, volume.namespace)
        count, wanted = replicas_after(volume, mark_of(workload, REPLICAS)), deep(workload, "spec", "replicas")
        if mark_of(workload, REPLICAS) or (wanted == 0 and count):
            if facts.awaited and count:
                what = f"{facts.awaited[0]} is ready, before {ref} starts (scale_up_after)"
                return Wait(what, settings.long_wait_seconds, facts.awaited)
            body = {"metadata": {"annotations": {REPLICAS: None}}, "spec": {"replicas": count}}
            return Act(f"scale {ref} from 0 to {count}", Patch(ref, body))
        if wanted != 0 and not ready_replicas(workload):
            return Wait(f"{ref} is ready", settings.long_wait_seconds, deep(workload, "status"))
    application = facts.application
    # It would start every workload of its own, also one whose volume is not there yet (PIT-10).
    if application is not None and mark_of(application, SELF_HEAL) and volume.scale_up and not facts.held_back:
        ref = Ref("Application", name_of(application), settings.gitops_namespace)
        body = {
            "metadata": {"annotations": {SELF_HEAL: None}},
            "spec": {"syncPolicy": {"automated": {"selfHeal": True}}},
        }
        return Act(f"resume self-healing of {ref}", Patch(ref, body))
    return Done(
        {
            "workload": "started" if workload is not None and volume.scale_up else "not started",
            "volume": str(deep(facts.volume, "status", "robustness") or "unknown"),
        }
    )


def replicas_after(volume: VolumeInput, recorded: str) -> int:
    """Return how many replicas the workload gets: what the input says, or as many as before (DEF-18).

    At least one, if this flow stopped it; none, if somebody else did and nothing is recorded.
    """
    if isinstance(volume.replicas_after, int):
        return volume.replicas_after
    return max(int(recorded), 1) if recorded.isdigit() else int(bool(recorded))


def ready_pod(pods: Sequence[Document]) -> Document | None:
    """Choose a pod in which a command can be run, by its conditions and not by its name (LHR-154)."""
    for pod in sorted(pods, key=name_of):
        conditions = deep(pod, "status", "conditions") or []
        ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
        if ready and not deep(pod, "metadata", "deletionTimestamp"):
            return pod
    return None


def verification(pod: Document, volume: VolumeInput) -> Execute:
    """Run the person's command as one argument, so that its quotes stay its own (DEF-16)."""
    return Execute(volume.namespace, name_of(pod), ("sh", "-c", volume.verify_cmd))
