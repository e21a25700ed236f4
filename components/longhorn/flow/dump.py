"""Kubernetes' and Longhorn's objects in one file, verified before it counts (BKP-010 .. BKP-020).

Objects, not bytes of volumes: a dump brings back what a claim belongs to, never what is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from ..recovery.directory import split_name
from .facts import claims_of, deep
from .interfaces import CSI_DRIVER, KINDS, Cluster, ClusterError, Document, name_of
from .inventory import Inventory
from .marks import REPLICAS, mark_of
from .volumes import WorkloadKind

__all__ = ["Check", "Dump", "DumpError", "collect", "parse", "sanitised", "verify"]

_LASTING: Final = (
    "PersistentVolume",
    "PersistentVolumeClaim",
    "longhorn.Volume",
    "longhorn.Engine",
    "longhorn.Replica",
    "longhorn.Setting",
    "longhorn.Node",
    "longhorn.RecurringJob",
    "longhorn.BackupTarget",
    "longhorn.BackupVolume",
    "longhorn.Backup",
    "longhorn.BackingImage",
)
"""Kinds whose objects do not all go by themselves: a dump that has none any more is not believed (BKP-010, BKP-013)."""
_KINDS: Final = tuple(dict.fromkeys((*_LASTING, *(kind for kind in KINDS if kind.startswith("longhorn.")))))
"""All of Longhorn's, for it may be removed whole (LHP-051)."""
_INDEX: Final = "FactoryDumpIndex"
_VERSION: Final = 1
_SERVER_FIELDS: Final = (
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "managedFields",
    "ownerReferences",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
    "generation",
    "selfLink",
)
_SERVER_ANNOTATIONS: Final = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
)


class DumpError(Exception):
    """A dump is not good; the message says why, and nothing was replaced by it."""


@dataclass(frozen=True)
class Dump:
    """Objects by kind (a key of KINDS), and what is known beside them."""

    objects: Mapping[str, tuple[Document, ...]]
    index: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """How many objects of each kind."""
        return {kind: len(items) for kind, items in self.objects.items()}

    @property
    def taken(self) -> str:
        """When, in UTC; empty in dumps of the described script."""
        return str(self.index.get("taken", ""))

    def of(self, kind: str) -> tuple[Document, ...]:
        """Return the objects of a kind."""
        return self.objects.get(kind, ())

    def find(self, kind: str, name: str, namespace: str = "") -> Document | None:
        """Return one object."""
        for item in self.of(kind):
            if name_of(item) == name and namespace in {"", item["metadata"].get("namespace")}:
                return item
        return None

    def text(self) -> str:
        """Return the file: the index, then one List for each kind."""
        lists = [{"apiVersion": "v1", "kind": "List", "items": list(items)} for items in self.objects.values()]
        index = {"apiVersion": "factory/v1", "kind": _INDEX, **self.index, "counts": self.counts}
        return yaml.safe_dump_all([index, *lists], sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class Check:
    """What a dump is good for."""

    counts: Mapping[str, int]
    age_seconds: float | None
    matches: tuple[str, ...]
    """Claims with their PersistentVolume and their Volume."""
    mismatches: tuple[str, ...]
    problems: tuple[str, ...]
    """Why it is not good."""

    @property
    def good(self) -> bool:
        """Whether it may be relied upon."""
        return not self.problems


def collect(cluster: Cluster, now: float, *, inventory: Inventory | None = None) -> Dump:
    """Read everything. A kind that is not served is noted; any other trouble raises ClusterError.

    ``inventory`` adds what really lies on the nodes' disks, also what no Replica names any more.
    """
    objects, absent = {}, []
    for kind in _KINDS:
        try:
            objects[kind] = tuple(_clean(item) for item in cluster.list(kind))
        except ClusterError as error:
            if not error.missing:
                raise
            absent.append(kind)
    index = {
        "version": _VERSION,
        "taken": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "longhorn": sorted({str(deep(item, "spec", "image") or "") for item in objects.get("longhorn.Engine", ())}),
        "absent": absent,
        "workloads": _workloads(cluster, objects.get("PersistentVolumeClaim", ())),
        "nodes": sorted(inventory.nodes) if inventory else [],
        "directories": _directories(objects.get("longhorn.Replica", ()), inventory),
    }
    return Dump(objects, index)


def parse(text: str) -> Dump:
    """Read a dump, also one of the described script: Lists, single objects, empty documents (BKP-050).

    Raises DumpError.
    """
    objects: dict[str, list[Document]] = {}
    index: Mapping[str, Any] = {}
    try:
        documents = list(yaml.safe_load_all(text))
    # The last ones are what the reader's own constructors let through.
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError) as error:
        message = f"no YAML: {' '.join(str(error).split())}"
        raise DumpError(message) from error
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            message = f"a document is no object but {type(document).__name__}"
            raise DumpError(message)
        if document.get("kind") == _INDEX:
            index = {key: value for key, value in document.items() if key not in {"apiVersion", "kind", "counts"}}
            _moment(index)
            continue
        items = document["items"] if document.get("kind") == "List" and "items" in document else [document]
        if items is not None and not isinstance(items, list):
            message = f"the items of a List are no list but {type(items).__name__}"
            raise DumpError(message)
        for item in items or []:
            kind = _kind(item)
            if kind:
                objects.setdefault(kind, []).append(item)
    return Dump({kind: tuple(items) for kind, items in objects.items()}, index)


def verify(dump: Dump, now: float, *, previous: Dump | None = None) -> Check:
    """Judge a dump (BKP-013, BKP-020, BKP-049): empty, shrunk to nothing, or Volumes missing is not good."""
    problems = []
    if not any(dump.counts.values()):
        problems.append("it is empty")
    volumes = {name_of(item) for item in dump.of("longhorn.Volume")}
    ours = [pv for pv in dump.of("PersistentVolume") if deep(pv, "spec", "csi", "driver") == CSI_DRIVER]
    if len(volumes) < len(ours):
        problems.append(f"{len(volumes)} Volumes for {len(ours)} PersistentVolumes of Longhorn")
    engines = {str(deep(item, "spec", "volumeName") or "") for item in dump.of("longhorn.Engine")}
    orphaned = sorted(engines - volumes - {""})
    if orphaned:
        problems.append(f"engines without their Volume: {', '.join(orphaned)}; applying it would fail (FM-22)")
    if previous is not None:
        gone = [kind for kind in _LASTING if previous.counts.get(kind) and not dump.counts.get(kind)]
        problems += [f"no {kind} any more: the dump before had {previous.counts[kind]}" for kind in gone]
    matches, mismatches = _relations(dump, volumes)
    age = None
    if dump.taken:
        age = now - datetime.fromisoformat(dump.taken).timestamp()
    return Check(dump.counts, age, tuple(matches), tuple(mismatches), tuple(problems))


def sanitised(document: Document) -> Document:
    """Return an object as a person would have written it: nothing that the server or a controller filled in.

    A PersistentVolume keeps no claim and is set to Retain; a claim stays pinned to its volume (BKP-041, BKP-042).
    """
    metadata = {key: value for key, value in document["metadata"].items() if key not in _SERVER_FIELDS}
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {key: value for key, value in annotations.items() if key not in _SERVER_ANNOTATIONS}
    spec = dict(document.get("spec") or {})
    if document["kind"] == "PersistentVolume":
        spec.pop("claimRef", None)
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    if _kind(document) == "longhorn.Volume":
        # Where it was attached, and what its migration wanted, belongs to the day of the dump.
        for key in ("nodeID", "lastAttachedBy", "migrationNodeID", "restoreVolumeRecurringJob"):
            spec.pop(key, None)
    rest = {key: value for key, value in document.items() if key not in {"metadata", "spec", "status"}}
    return {**rest, "metadata": metadata, **({"spec": spec} if spec else {})}


def digest(text: str) -> str:
    """Return the SHA-256 of a dump's file."""
    return hashlib.sha256(text.encode()).hexdigest()


def _relations(dump: Dump, volumes: set[str]) -> tuple[list[str], list[str]]:
    matches, mismatches = [], []
    pvs = {name_of(item): item for item in dump.of("PersistentVolume")}
    for claim in dump.of("PersistentVolumeClaim"):
        place = f"{claim['metadata'].get('namespace')}/{name_of(claim)}"
        bound = str(deep(claim, "spec", "volumeName") or "")
        if not bound:
            mismatches.append(f"{place} is bound to nothing")
        elif bound not in pvs:
            mismatches.append(f"{place} is bound to {bound}, which is not in the dump")
        elif deep(pvs[bound], "spec", "csi", "driver") == CSI_DRIVER and bound not in volumes:
            mismatches.append(f"{place}: {bound} has no Longhorn Volume in the dump")
        else:
            matches.append(f"{place} = {bound}")
    return matches, mismatches


def _workloads(cluster: Cluster, claims: Sequence[Document]) -> list[dict[str, Any]]:
    """Note who mounts which claim, with how many replicas: the input of a recovery is made of it (BKP-011, VAR-012)."""
    found = []
    for kind in WorkloadKind:
        for item in cluster.list(kind.value):
            namespace = item["metadata"]["namespace"]
            near = [name_of(claim) for claim in claims if claim["metadata"].get("namespace") == namespace]
            names = [name for name in near if claims_of(item, kind, name)]
            if names:
                wanted, recorded = deep(item, "spec", "replicas"), mark_of(item, REPLICAS)
                # One that a recovery stopped has the number of before in its mark.
                replicas = int(recorded) if recorded.isdigit() else 1 if wanted is None else int(wanted)
                entry = {"kind": kind.value, "namespace": namespace, "name": name_of(item)}
                found.append({**entry, "replicas": replicas, "claims": names})
    return found


def _directories(replicas: Sequence[Document], inventory: Inventory | None) -> list[dict[str, Any]]:
    """Note where each volume's data lies: by its Replicas' own field (GLK-016), and by the disks (BKP-011)."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for item in replicas:
        node, directory = (str(deep(item, "spec", key) or "") for key in ("nodeID", "dataDirectoryName"))
        if directory:
            found[node, directory] = {"volume": deep(item, "spec", "volumeName"), "replica": name_of(item)}
    for place, size in (inventory.sizes if inventory else {}).items():
        found.setdefault(place, {"volume": split_name(place[1])[0]})["kib"] = size
    return [{"node": node, "directory": directory, **about} for (node, directory), about in sorted(found.items())]


def _clean(item: Document) -> Document:
    """Leave out what only makes a dump large."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}


def _moment(index: Mapping[str, Any]) -> None:
    """Refuse an index that does not say when. Raises DumpError."""
    try:
        datetime.fromisoformat(str(index["taken"]))
    except (LookupError, ValueError) as error:
        message = f"its index says no time: {index.get('taken')!r}"
        raise DumpError(message) from error


def _kind(item: Any) -> str:  # noqa: ANN401 - any YAML
    """Return the key of an object's kind in KINDS; empty for one that is not kept. Raises DumpError for no object."""
    if not isinstance(item, dict):
        message = f"an item is no object but {type(item).__name__}"
        raise DumpError(message)
    metadata = item.get("metadata")
    whole = all(isinstance(item.get(part) or {}, dict) for part in ("spec", "status"))
    if not whole or not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        message = f"a {item.get('kind')} has no name, or no fields where they belong: is the file cut off?"
        raise DumpError(message)
    kind, version = str(item.get("kind", "")), str(item.get("apiVersion", ""))
    key = f"longhorn.{kind}" if version.startswith("longhorn.io/") else kind
    return key if key in KINDS else ""
