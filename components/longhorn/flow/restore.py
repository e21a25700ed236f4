"""Objects from a dump, brought back in their order; what comes back empty is no success (BKP-040 .. BKP-050).

A Volume that is made anew gets new replicas in new directories (GLK-017). It exists, its claim is Bound, and nothing is
in it. So each restored Volume is looked at: its old directories mean that its data needs the recovery flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from .dump import Dump, DumpError, sanitised
from .facts import deep
from .interfaces import CSI_DRIVER, Clock, Cluster, ClusterError, Document, Ref, name_of
from .volumes import FlowSettings

__all__ = ["RestoreReport", "Restored", "VolumeData", "data_of", "restore"]

_ORDER: Final = ("longhorn.Volume", "PersistentVolume", "PersistentVolumeClaim")
_PAUSE: Final = 2.0
_EMPTY_FRACTION: Final = 8


class VolumeData(StrEnum):
    """What is known of a Volume's content."""

    PRESENT = "data present"
    EMPTY = "empty: its data needs `recover run`"
    UNKNOWN = "unknown: look into it before anything uses it"


class Restored(StrEnum):
    """What came of one object."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    FAILED = "failed"
    PLANNED = "planned"


@dataclass
class RestoreReport:
    """What came of a restore."""

    objects: list[tuple[str, Restored, str]] = field(default_factory=list)
    """Object, what came of it, why."""
    data: dict[str, VolumeData] = field(default_factory=dict)
    """By Volume."""
    held: list[str] = field(default_factory=list)
    """Workloads that must stay at 0 until their data is proven."""

    @property
    def complete(self) -> bool:
        """Whether everything is there, with its data. Only then is it a success (GLK-017, LHT-004)."""
        fine = {Restored.CREATED, Restored.UNCHANGED}
        return all(outcome in fine for _, outcome, _ in self.objects) and all(
            found is VolumeData.PRESENT for found in self.data.values()
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "complete": self.complete,
            "objects": [{"object": name, "outcome": outcome.value, "why": why} for name, outcome, why in self.objects],
            "data": {name: found.value for name, found in self.data.items()},
            "held": self.held,
        }


def restore(
    cluster: Cluster,
    dump: Dump,
    settings: FlowSettings,
    clock: Clock,
    *,
    claims: Iterable[str] = (),
    dry_run: bool = False,
) -> RestoreReport:
    """Bring back Volumes, PersistentVolumes and claims, in this order; engines and replicas never (BKP-045).

    ``claims`` (``namespace/name``) chooses; all without. Existing objects are never overwritten: equal ones are
    unchanged, others a conflict. Raises DumpError when a chosen claim is not in the dump, and when no manager runs that
    could take a Volume up (LHP-060), before anything is made.
    """
    chosen = _chosen(dump, tuple(claims))
    if not dry_run:
        _wait_for_manager(cluster, settings, clock)
    report = RestoreReport()
    for kind in _ORDER:
        for document in chosen[kind]:
            report.objects.append(_one(cluster, kind, document, settings, dry_run=dry_run))
        if kind == "longhorn.Volume" and not dry_run:
            _wait_for_volumes(cluster, chosen[kind], settings, clock)
    if not dry_run:
        for document in chosen["longhorn.Volume"]:
            report.data[name_of(document)] = data_of(cluster, name_of(document), dump, settings)
        empty = {name for name, found in report.data.items() if found is not VolumeData.PRESENT}
        report.held = _users(dump, chosen["PersistentVolumeClaim"], empty)
    return report


def data_of(cluster: Cluster, name: str, dump: Dump, settings: FlowSettings) -> VolumeData:
    """Say whether the data of the dump's day is in a Volume, by its replicas' directories and its size (LHP-068)."""
    namespace = settings.longhorn_namespace
    replicas = cluster.list("longhorn.Replica", namespace, f"longhornvolume={name}")
    now = {str(deep(item, "spec", "dataDirectoryName") or "") for item in replicas} - {""}
    before = {
        str(deep(item, "spec", "dataDirectoryName") or "")
        for item in dump.of("longhorn.Replica")
        if deep(item, "spec", "volumeName") == name
    } - {""}
    known = {str(item["directory"]) for item in dump.index.get("directories", ())}
    before |= {directory for directory in known if directory.rpartition("-")[0] == name}
    if now and before:
        return VolumeData.PRESENT if now & before else VolumeData.EMPTY
    old = deep(dump.find("longhorn.Volume", name), "status", "actualSize")
    new = deep(cluster.get(Ref("longhorn.Volume", name, namespace)), "status", "actualSize")
    if isinstance(old, int) and isinstance(new, int) and old > 0 and new < old // _EMPTY_FRACTION:
        return VolumeData.EMPTY
    return VolumeData.UNKNOWN


def _chosen(dump: Dump, claims: tuple[str, ...]) -> dict[str, list[Document]]:
    by_place = {
        f"{item['metadata'].get('namespace')}/{name_of(item)}": item for item in dump.of("PersistentVolumeClaim")
    }
    missing = [claim for claim in claims if claim not in by_place]
    if missing:
        message = f"not in the dump: {', '.join(missing)}"
        raise DumpError(message)
    picked = [by_place[claim] for claim in claims] if claims else list(by_place.values())
    names = {str(deep(claim, "spec", "volumeName") or "") for claim in picked}
    volumes = [item for item in dump.of("longhorn.Volume") if not claims or name_of(item) in names]
    present = {name_of(item) for item in volumes}
    pvs = [
        item
        for item in dump.of("PersistentVolume")
        if deep(item, "spec", "csi", "driver") == CSI_DRIVER and (not claims or name_of(item) in names)
    ]
    # Without its Volume in the dump, a claim would be Bound to nothing (BKP-049, PIT-15).
    lacking = sorted(name_of(pv) for pv in pvs if name_of(pv) not in present)
    if lacking:
        message = f"the dump lacks the Longhorn Volumes of {', '.join(lacking)}: nothing is applied; recover the data"
        raise DumpError(message)
    restored = [claim for claim in picked if deep(claim, "spec", "volumeName") in present]
    left = [claim for claim in claims if by_place[claim] not in restored]
    if left:
        message = f"the dump has no Longhorn volume for {', '.join(left)}: nothing is applied"
        raise DumpError(message)
    return {"longhorn.Volume": volumes, "PersistentVolume": pvs, "PersistentVolumeClaim": restored}


def _one(
    cluster: Cluster, kind: str, document: Document, settings: FlowSettings, *, dry_run: bool
) -> tuple[str, Restored, str]:
    wanted = sanitised(document)
    namespace = str(wanted["metadata"].get("namespace", ""))
    if kind.startswith("longhorn."):
        namespace = settings.longhorn_namespace
    ref = Ref(kind, name_of(wanted), namespace)
    try:
        present = cluster.get(ref)
        if present is not None:
            differs = _differences(wanted.get("spec") or {}, present.get("spec") or {})
            if deep(present, "metadata", "deletionTimestamp"):
                return str(ref), Restored.CONFLICT, _let_go(ref)
            outcome = Restored.CONFLICT if differs else Restored.UNCHANGED
            return str(ref), outcome, "; ".join(differs)
        if dry_run:
            return str(ref), Restored.PLANNED, ""
        cluster.create(ref, wanted)
    except ClusterError as error:
        return str(ref), Restored.FAILED, str(error)
    return str(ref), Restored.CREATED, ""


def _let_go(ref: Ref) -> str:
    """Say how an object goes that is stuck half-deleted: a restore cannot know whether its workload runs (INV-005)."""
    place = f"--namespace {ref.namespace} " if ref.namespace else ""
    kind = {"longhorn.Volume": "volumes.longhorn.io"}.get(ref.kind, ref.kind.lower())
    return (
        "it is being deleted. `recover run` lets it go, in its turn; by hand, when nothing uses it any more: "
        f'kubectl {place}patch {kind} {ref.name} --type merge --patch \'{{"metadata":{{"finalizers":null}}}}\', and '
        "restore again (BKP-043)"
    )


def _differences(wanted: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """Compare what the dump says; what only the server filled in is its own."""
    return [
        f"{key}: {present.get(key)!r} instead of {value!r}"
        for key, value in wanted.items()
        if present.get(key) != value
    ]


def _wait_for_manager(cluster: Cluster, settings: FlowSettings, clock: Clock) -> None:
    def running() -> bool:
        managers = cluster.list("Pod", settings.longhorn_namespace, "app=longhorn-manager")
        return any(deep(pod, "status", "phase") == "Running" for pod in managers)

    if not _came_true(running, settings, clock):
        message = "0 longhorn-manager pods are Running: recover the control plane first"
        raise DumpError(message)


def _wait_for_volumes(cluster: Cluster, volumes: list[Document], settings: FlowSettings, clock: Clock) -> None:
    """Let Longhorn take them up, before anything binds to them; what stays behind is seen by its data."""
    refs = [Ref("longhorn.Volume", name_of(item), settings.longhorn_namespace) for item in volumes]
    _came_true(lambda: all(deep(cluster.get(ref), "status", "state") for ref in refs), settings, clock)


def _came_true(condition: Callable[[], bool], settings: FlowSettings, clock: Clock) -> bool:
    deadline = clock.monotonic() + settings.long_wait_seconds
    while not condition():
        if clock.monotonic() >= deadline:
            return False
        clock.sleep(_PAUSE)
    return True


def _users(dump: Dump, claims: list[Document], empty: set[str]) -> list[str]:
    """Name the workloads that would start on an empty volume (BKP-047)."""
    affected = {
        (claim["metadata"].get("namespace"), name_of(claim))
        for claim in claims
        if deep(claim, "spec", "volumeName") in empty
    }
    return [
        f"{item['kind']} {item['namespace']}/{item['name']}"
        for item in dump.index.get("workloads", ())
        if any((item["namespace"], claim) in affected for claim in item["claims"])
    ]
