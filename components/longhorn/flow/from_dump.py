"""What a dump knows of a volume: the input of its recovery is made of it, and compared with it (VAR-012, DEF-27)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ..recovery.directory import ALIGNMENT, split_name
from .dump import Dump, DumpError
from .facts import deep
from .interfaces import CSI_DRIVER, Document, name_of
from .volumes import VolumeInput, explain, quantity_bytes

__all__ = ["described_volumes", "disagreements"]


def described_volumes(dump: Dump, claims: Iterable[str] = ()) -> tuple[tuple[VolumeInput, ...], tuple[str, ...]]:
    """Make the input for these claims (``namespace/name``; all of Longhorn's without), and notes on what is not sure.

    Raises DumpError when the dump does not hold what one of them needs.
    """
    known = {_place(claim): claim for claim in dump.of("PersistentVolumeClaim") if _volume_of(dump, claim) is not None}
    wanted = tuple(claims) or tuple(sorted(known))
    problems = [f"{name}: the dump knows no such claim on a Longhorn volume" for name in wanted if name not in known]
    volumes: list[VolumeInput] = []
    notes: list[str] = []
    for name in wanted:
        if name in known:
            try:
                volumes.append(VolumeInput.model_validate(_values(dump, known[name], notes)))
            except ValueError as error:
                said = explain(name, error) if isinstance(error, ValidationError) else [f"{name}: {error}"]
                problems += said
    if not wanted:
        problems.append("the dump knows no claim on a Longhorn volume")
    if problems:
        raise DumpError("; ".join(problems))
    return tuple(volumes), tuple(notes)


def disagreements(volume: VolumeInput, dumped: tuple[Document | None, Document | None]) -> list[str]:
    """Say where an entry contradicts PersistentVolume and claim of the dump: it would recover another volume."""
    pv, claim = dumped
    here = f"{volume.namespace}/{volume.pvc_name}"
    found = []
    bound = str(deep(claim, "spec", "volumeName") or "")
    if bound and bound != volume.pv_name:
        found.append(f"{volume.pv_name}: in the dump the claim {here} belongs to {bound} (DEF-27)")
    owner = deep(pv, "spec", "claimRef") or {}
    other = f"{owner.get('namespace')}/{owner.get('name')}"
    if owner and other != here:
        found.append(f"{volume.pv_name}: in the dump it belongs to the claim {other}, not to {here} (DEF-27)")
    capacity = str(deep(pv, "spec", "capacity", "storage") or "")
    sizes = _sizes(capacity)
    if sizes and not volume.allow_resize and volume.size not in sizes:
        found.append(
            f"{volume.pv_name}: in the dump it has {capacity}, not {volume.size_human}; allow_resize accepts another"
        )
    return found


def _place(claim: Document) -> str:
    """Name a claim."""
    return f"{claim['metadata'].get('namespace')}/{name_of(claim)}"


def _sizes(capacity: str) -> tuple[int, ...]:
    """Return the size that was asked for, and what Longhorn makes of it (GLK-009); nothing where it is no size."""
    try:
        asked = quantity_bytes(capacity)
    except ValueError:
        return ()
    return asked, -(-asked // ALIGNMENT) * ALIGNMENT


def _volume_of(dump: Dump, claim: Document) -> Document | None:
    """Return the claim's PersistentVolume if it is Longhorn's."""
    name = str(deep(claim, "spec", "volumeName") or "")
    pv = dump.find("PersistentVolume", name) if name else None
    return pv if deep(pv, "spec", "csi", "driver") == CSI_DRIVER else None


def _values(dump: Dump, claim: Document, notes: list[str]) -> dict[str, Any]:
    pv = _volume_of(dump, claim) or {}
    name, capacity = name_of(pv), str(deep(pv, "spec", "capacity", "storage") or "")
    size = str(deep(dump.find("longhorn.Volume", name), "spec", "size") or quantity_bytes(capacity))
    modes: Sequence[str] = deep(pv, "spec", "accessModes") or ()
    users = [
        item
        for item in dump.index.get("workloads", ())
        if item["namespace"] == claim["metadata"].get("namespace") and name_of(claim) in item["claims"]
    ]
    notes += _places(dump, claim, name)
    return {
        "pv_name": name,
        "pvc_name": name_of(claim),
        "namespace": claim["metadata"].get("namespace"),
        "size_bytes": size,
        # Longhorn rounds a size up: then the claim's own words denote another number.
        "size_human": capacity if size == str(quantity_bytes(capacity)) else size,
        "access_mode": modes[0] if modes else "",
        **_workload(claim, users, notes),
    }


def _workload(claim: Document, users: Sequence[Mapping[str, Any]], notes: list[str]) -> dict[str, Any]:
    """Name what mounted a claim, with its replicas of that day: today it may be stopped already (BKP-011)."""
    if len(users) != 1:
        several = ", ".join(f"{item['kind']} {item['name']}" for item in users) or "no Deployment and no StatefulSet"
        notes.append(f"{_place(claim)}: mounted by {several} on the day of the dump; write its workload_name yourself")
        return {}
    kind, name, replicas = (users[0][key] for key in ("kind", "name", "replicas"))
    if not replicas:
        notes.append(f"{_place(claim)}: {kind} {name} was down on the day of the dump; scale_up: false keeps it so")
    return {"workload_kind": kind, "workload_name": name, **({"replicas_after": replicas} if replicas > 1 else {})}


def _places(dump: Dump, claim: Document, volume: str) -> list[str]:
    """Say where the data lay, by the Replicas of that day; other directories of the volume may be older (ODF-016)."""
    known = [item for item in dump.index.get("directories", ()) if split_name(item["directory"])[0] == volume]
    lay, other = (
        ", ".join(f"{item['node']}:{item['directory']}" for item in known if bool(item.get("replica")) is used)
        for used in (True, False)
    )
    said = [f"its data lay in {lay}"] if lay else []
    said += [f"on the disks was also {other}"] if other else []
    return [f"{_place(claim)}: {'; '.join(said)}"] if said else []
