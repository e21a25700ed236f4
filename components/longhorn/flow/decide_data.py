"""Phases 0, 1, 2 and 6 as far as they are decisions: which directory, whether an image is good, what a device is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .facts import deep
from .interfaces import Document
from .marks import device_uuid
from .node_tools import format_device, write_marker
from .steps import Act, Done, Run, Step, Stop
from .volumes import FlowSettings, VolumeInput

__all__ = [
    "Candidate",
    "DeviceFacts",
    "Paths",
    "Ranking",
    "copy_outcome",
    "decide_inject",
    "judge_image",
    "live_directories",
    "mark_complete",
    "parse_probe",
    "rank",
]

_NOT_ALL: Final = 23
_RSYNC_OK: Final = (0, _NOT_ALL)
_FORMAT_SECONDS: Final = 1800
_STALE_SECONDS: Final = 3600


@dataclass(frozen=True)
class Candidate:
    """A replica directory of one volume, as a scan of its node reported it, with why it is refused, if it is."""

    node: str
    directory: str
    actual: int
    """Bytes on disk."""
    size: int | None
    """Bytes of the volume."""
    mtime: float
    """Newest change, seconds since 1970."""
    head_mtime: float
    dirty: bool
    layers: int
    revision: int
    reasons: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "node": self.node,
            "directory": self.directory,
            "actual_kib": self.actual // 1024,
            "actual_mib": round(self.actual / 2**20, 1),
            "dirty": self.dirty,
            "layers": self.layers,
            "mtime": self.mtime,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class Ranking:
    """All directories of a volume, best first, and what a person should know about the order (LHR-034, LHR-035)."""

    candidates: tuple[Candidate, ...]
    warnings: tuple[str, ...] = ()

    @property
    def best(self) -> Candidate | None:
        """The winner, if there is any."""
        return next((item for item in self.candidates if item.usable), None)


def live_directories(replicas: Sequence[Document]) -> frozenset[str]:
    """Name the directories that live Replica objects refer to: by their own field, never by their name (GLK-016)."""
    found = (deep(item, "spec", "dataDirectoryName") for item in replicas)
    return frozenset(str(name) for name in found if name)


def rank(
    scanned: Sequence[tuple[str, Mapping[str, Any]]],
    volume: VolumeInput,
    settings: FlowSettings,
    live: frozenset[str] = frozenset(),
) -> Ranking:
    """Choose among what the nodes reported: pairs of a node's name and a directory's JSON form (DT-4, LHR-020 ..).

    Not rebuilding, complete, larger than an empty one; then the largest on disk, the newest before the incident, clean
    before dirty, the order of the nodes, the name.
    """
    pattern = re.compile(rf"{re.escape(volume.pv_name)}-[0-9a-f]{{8}}")
    mine = [(node, item) for node, item in scanned if pattern.fullmatch(str(item["name"]))]
    if volume.source_dir:
        mine = [(node, item) for node, item in mine if item["name"] == volume.source_dir]
    if volume.source_node:
        mine = [(node, item) for node, item in mine if node == volume.source_node]
    candidates = [_candidate(node, item, volume, settings, live) for node, item in mine]
    order = {name: index for index, name in enumerate(settings.nodes)}
    ranked = sorted(
        candidates,
        key=lambda item: (
            not item.usable,
            -item.actual,
            -item.mtime,
            item.dirty,
            -item.revision,
            -item.head_mtime,
            item.layers,
            order.get(item.node, len(order)),
            item.directory,
        ),
    )
    return Ranking(tuple(ranked), tuple(_warnings([item for item in ranked if item.usable])))


def _candidate(
    node: str, item: Mapping[str, Any], volume: VolumeInput, settings: FlowSettings, live: frozenset[str]
) -> Candidate:
    name, actual, size = str(item["name"]), int(item["actual"]), item.get("size")
    mtime = int(item.get("newest_mtime_ns") or 0) / 1e9
    heavy = [finding for finding in item.get("findings", ()) if finding["severity"] in {"refused", "damaged"}]
    # How small is too small, and when the incident was, is this run's to say.
    reasons = [
        f"{finding['message']} ({finding['code']})"
        for finding in heavy
        if finding["code"] not in {"too-small", "after-incident"} and not finding.get("accepted")
    ]
    if actual <= settings.min_actual_kib * 1024:
        reasons.append(f"{actual // 1024} KiB on disk are not more than the {settings.min_actual_kib} of an empty one")
    if name in live:
        reasons.append("a live Replica object refers to it: it is a target, not a source (INV-013)")
    if isinstance(size, int) and size != volume.size and not (volume.allow_resize and size < volume.size):
        reasons.append(f"it holds a volume of {size} bytes, not {volume.size} (VAR-009)")
    if settings.incident_time and mtime > datetime.fromisoformat(settings.incident_time).timestamp():
        reasons.append("it was changed after the incident (LHR-031)")
    return Candidate(
        node=node,
        directory=name,
        actual=actual,
        size=size if isinstance(size, int) else None,
        mtime=mtime,
        head_mtime=int(item.get("head_mtime_ns") or 0) / 1e9,
        dirty=bool(item.get("dirty")),
        layers=len(item.get("layers") or ()),
        revision=int(item.get("revision") or 0),
        reasons=tuple(reasons),
    )


def _warnings(usable: Sequence[Candidate]) -> list[str]:
    if not usable:
        return []
    best, found = usable[0], []
    newer = [item for item in usable[1:] if item.head_mtime > best.head_mtime + _STALE_SECONDS]
    if newer:
        place = f"{newer[0].node}:{newer[0].directory}"
        hours = (newer[0].head_mtime - best.head_mtime) / 3600
        found.append(
            f"the largest directory is not the freshest: {place} was written {hours:.1f} h later; compare them"
        )
    return found


def judge_image(report: Mapping[str, Any]) -> tuple[str, str]:
    """Decide from a `verify` report how an image is mounted. Returns its file system and the mount option.

    Raises ValueError with what is wrong (LHR-056, LHR-058).
    """
    systems = report["file_systems"]
    if len(systems) != 1 or systems[0]["offset"] != 0:
        message = f"it holds {len(systems)} partitions: the flow expects one file system without a partition table"
        raise ValueError(message)
    found = systems[0]
    if found["kind"] == "ext":
        if not found["root"]:
            message = f"its root directory cannot be read: {'; '.join(found['problems']) or 'it is empty'}"
            raise ValueError(message)
        return "ext", "noload"
    if found["kind"] == "xfs":
        message = (
            "it is XFS: the flow formats ext4 only; copy its files by hand from a mount with ro,norecovery (RDM-12)"
        )
        raise ValueError(message)
    message = "; ".join(found["problems"]) or f"it is {found['kind']}: the flow recovers ext4 only"
    raise ValueError(message)


@dataclass(frozen=True)
class DeviceFacts:
    """What the node says about the device."""

    block: bool
    size: int
    kind: str
    uuid: str
    complete: str


def parse_probe(text: str) -> DeviceFacts:
    """Read the answer of :func:`node_tools.probe_device`."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return DeviceFacts(
        block=values.get("block") == "yes",
        size=int(values.get("size", "0")),
        kind=values.get("TYPE", "") or values.get("PTTYPE", ""),
        uuid=values.get("UUID", ""),
        complete=values.get("complete", ""),
    )


@dataclass(frozen=True)
class Paths:
    """Where things of one volume lie on its source node (LHR-041, DEF-15)."""

    backup: str
    image: str
    scratch: str
    marker: str
    mounts: str
    device: str

    @classmethod
    def of(cls, volume: VolumeInput, settings: FlowSettings, directory: str) -> Paths:
        """Derive them; the key is unique across namespaces."""
        image = f"{settings.merged_base}/{volume.key}/{directory}.img"
        return cls(
            backup=f"{settings.backup_base}/{volume.key}/{directory}",
            image=image,
            scratch=f"{image}.repaired",
            marker=f"{settings.backup_base}/{volume.key}/injected",
            mounts=f"{settings.mount_base}/{volume.key}",
            device=f"{settings.device_directory}/{volume.pv_name}",
        )


def decide_inject(device: DeviceFacts, volume: VolumeInput, paths: Paths, digest: str) -> Step:
    """Phase 6 up to the copy (DT-5). Done: the device is ours; ``complete`` tells whether the data is in it already."""
    uuid = device_uuid(volume.pv_name, digest)
    if not device.block:
        return Stop(
            "no-device",
            f"{paths.device} is no block device although the volume is attached: see the logs of Longhorn's engine and "
            f"instance manager, and whether the ticket has disableFrontend (FM-14)",
        )
    if device.size != volume.size:
        return Stop("device-size", f"{paths.device} has {device.size} bytes instead of {volume.size}")
    if not device.kind:
        action = Run(format_device(paths.device, uuid, paths.marker), _FORMAT_SECONDS, long=True)
        return Act(f"format {paths.device}, which carries nothing", action, destructive=True)
    if device.kind != "ext4" or device.uuid != uuid:
        return Stop(
            "device-foreign",
            f"{paths.device} carries {device.kind} {device.uuid}, which this recovery did not make: nothing is written "
            f"to it (INV-011)",
        )
    return Done({"uuid": uuid, "complete": device.complete == uuid})


def mark_complete(paths: Paths, uuid: str) -> Act:
    """Note on the node that the copy is complete."""
    return Act("note that the copy is complete", Run(write_marker(paths.marker, uuid), 60))


def copy_outcome(text: str, volume: VolumeInput) -> Done | Stop:
    """Judge a copy by what its script printed (LHR-113, LHR-116, LHR-119, FM-16, FM-17)."""
    pairs = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    values = dict(pairs)
    unreadable = [value for key, value in pairs if key == "unreadable" and "rsync error" not in value]
    differing = [value for key, value in pairs if key == "differs"]
    status, compared = (int(values.get(key, "-1")) for key in ("rsync", "compared"))
    # The list ends somewhere; the number does not.
    count = int(values.get("differing", "0"))
    if status not in _RSYNC_OK:
        return Stop("copy-failed", f"rsync ended with {status}: {'; '.join(unreadable[:5])}")
    if compared not in {0, status}:
        # A comparison that did not come to its end finds no differences either.
        return Stop("copy-unproven", f"the comparison of the copy with its source ended with {compared}; run again")
    if count and status == 0:
        return Stop("copy-differs", f"{count} files differ after the copy, first {differing[:5]}")
    limit = volume.max_unreadable_files
    if limit is not None and count > limit:
        return Stop(
            "unreadable-files",
            f"{count} files could not be read, at most {limit} may: {differing[:5]}; try another replica",
        )
    if values.get("fsck") != "0":
        return Stop("device-damaged", f"e2fsck says {values.get('fsck')} about the new file system")
    warnings = tuple(f"not copied: {name}" for name in differing)
    if count > len(differing):
        warnings += (f"not copied: {count - len(differing)} more files",)
    result = {"files": int(values["files"]), "bytes": int(values["bytes"]), "messages": unreadable}
    return Done(result, warnings)
