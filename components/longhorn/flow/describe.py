"""A plan in words: the ranking with its reasons, and what a run would do now, from what the cluster looks like."""

from __future__ import annotations

from collections.abc import Sequence

from .decide_data import Ranking
from .facts import deep, observe
from .interfaces import name_of
from .marks import COMPLETE, SOURCE, mark_of
from .sources import pinned_source
from .volumes import VolumeInput
from .world import World

__all__ = ["described_plan", "steps_of"]


def steps_of(world: World, volume: VolumeInput) -> tuple[str, ...]:
    """Say what a run would do, in its order; by reading alone (INV-015). Raises ClusterError."""
    settings = world.settings
    facts = observe(world.cluster, volume, settings)
    if mark_of(facts.volume, COMPLETE):
        data = ["the data is in the volume already: nothing is copied"]
    else:
        pinned = pinned_source(world, volume, world.journal(volume.key))
        data = [f"go on with {pinned[0]}:{pinned[1]}, which an earlier run chose"] if pinned else []
        data += [
            f"copy the directory to {settings.backup_base}/{volume.key}, keeping what each layer owns",
            f"merge the copy into {settings.merged_base}/{volume.key}, check and mount it read-only",
        ]
    steps = list(data)
    if facts.application is not None and deep(facts.application, "spec", "syncPolicy", "automated", "selfHeal"):
        steps.append(f"pause self-healing of Application {name_of(facts.application)}")
    if facts.workload is not None and volume.scale_down:
        replicas = deep(facts.workload, "spec", "replicas")
        steps.append(f"scale {volume.workload_kind} {volume.namespace}/{volume.workload_name} from {replicas} to 0")
    if deep(facts.pv, "metadata", "deletionTimestamp"):
        steps.append(f"clear the finalizers of PersistentVolume {volume.pv_name}, which is being deleted")
    if deep(facts.claim, "metadata", "deletionTimestamp"):
        steps.append(f"clear the finalizers of claim {volume.namespace}/{volume.pvc_name}, which is being deleted")
    if not mark_of(facts.volume, SOURCE):
        steps.append(f"create the Longhorn Volume {volume.pv_name} ({volume.size_human}, empty)")
    if not mark_of(facts.volume, COMPLETE):
        steps.append(
            f"attach it to the source's node, format {settings.device_directory}/{volume.pv_name}, copy the files"
        )
        steps.append("compare the copy, and give the attachment back")
    if facts.pv is None:
        steps.append(f"create PersistentVolume {volume.pv_name} (Retain)")
    if facts.claim is None or deep(facts.claim, "metadata", "deletionTimestamp"):
        steps.append(f"create claim {volume.namespace}/{volume.pvc_name}, pinned to it")
    if facts.workload is not None and volume.scale_up:
        steps += [f"wait until {awaited} is ready" for awaited in volume.scale_up_after]
        count = "back to what it was" if volume.replicas_after == "restore" else f"to {volume.replicas_after}"
        steps.append(f"scale the workload {count}, and wait until it is ready")
    if volume.verify_cmd:
        steps.append(f"run in a pod: {volume.verify_cmd}")
    return tuple(steps)


def described_plan(volume: VolumeInput, ranking: Ranking, steps: Sequence[str]) -> str:
    """Return what a person reads before saying yes (LHR-025, LHR-026)."""
    manual = bool(volume.source_node and volume.source_dir)
    best = ranking.best
    chosen = "NOT FOUND"
    if best is not None:
        chosen = f"{'MANUAL' if manual else 'AUTO'} {best.node}:{best.directory} ({best.actual / 2**20:.1f} MiB)"
    lines = [f"{volume.namespace}/{volume.pvc_name} ({volume.pv_name}): {chosen}"]
    for item in ranking.candidates:
        verdict = "usable" if item.usable else "; ".join(item.reasons)
        dirty = "dirty" if item.dirty else "clean"
        size = f"{item.actual / 2**20:.1f} MiB"
        lines.append(f"  {item.node}:{item.directory}  {size}  {item.layers} layers  {dirty}  {verdict}")
    lines += [f"  warning: {warning}" for warning in ranking.warnings]
    lines += [f"  {number}. {step}" for number, step in enumerate(steps, 1)]
    return "\n".join(lines)
