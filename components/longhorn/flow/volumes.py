"""What is to be recovered, as a person writes it: validated whole, all mistakes together (VAR).

The format is the described one: a list ``longhorn_recovery_volumes``, one mapping per volume. Further keys make its
conventions explicit (VAR-008); the old ones keep working.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from ...model import DnsLabel, HostName, Model, Quantity, Seconds, about

__all__ = [
    "CopyMethod",
    "FlowSettings",
    "InvalidInputError",
    "VolumeInput",
    "WorkloadKind",
    "WorkloadRef",
    "moment",
    "parse",
    "quantity_bytes",
]

_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_PV_NAME: Final = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_LIST_KEY: Final = "longhorn_recovery_volumes"


def quantity_bytes(text: str) -> int:
    """Turn a storage quantity (``128Mi``) into bytes. Raises ValueError for a fraction of a byte or another text."""
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]+))?([kMGT]|[KMGT]i)?", text)
    if not match:
        message = f"{text!r} is no size, write for instance 128Mi or 8Gi"
        raise ValueError(message)
    whole, fraction, unit = match[1], match[2] or "", match[3] or ""
    scale: int = 10 ** len(fraction)
    result, rest = divmod(int(whole + fraction) * {**_UNITS, **_BINARY}[unit], scale)
    if rest:
        message = f"{text!r} is not a whole number of bytes"
        raise ValueError(message)
    return result


def _absolute(path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/") or path == "/":
        message = "write an absolute path below /, without .."
        raise ValueError(message)
    return path.rstrip("/")


NodePath = Annotated[str, AfterValidator(_absolute)]
"""A directory on a node."""


def moment(text: str) -> str:
    """Accept nothing, or a time that is the same everywhere: without its zone it would be the reader's own.

    Raises ValueError.
    """
    try:
        known = not text or datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        message = f"{text!r} is no time with its zone, write for instance 2026-01-31T15:20:00+01:00 or ...Z"
        raise ValueError(message)
    return text


class WorkloadKind(StrEnum):
    """What mounts a volume."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"


class WorkloadRef(Model):
    """A workload, by its place in the cluster."""

    kind: WorkloadKind = Field(
        default=WorkloadKind.DEPLOYMENT, description="What it is.", json_schema_extra=about("VAR-008")
    )
    namespace: DnsLabel = Field(description="Where it is.", json_schema_extra=about("VAR-008"))
    name: Annotated[str, StringConstraints(pattern=_PV_NAME)] = Field(
        description="Its name.", json_schema_extra=about("VAR-008")
    )

    def __str__(self) -> str:
        """Name it as a person would."""
        return f"{self.kind} {self.namespace}/{self.name}"


class CopyMethod(StrEnum):
    """How the source directory is backed up."""

    EXTENTS = "extents"
    TAR = "tar"


_REFUSED_METHODS: Final = {
    "cp": "turns written zeros into holes (or holes into data), so that older layers show through or are hidden",
    "rsync": "fills holes with zeros (or punches runs of zeros), so that layers own other blocks than before",
    "scp": "fills holes with zeros, so that the newest layer hides all older ones",
    "dd": "turns holes into data, so that the newest layer hides all older ones",
}


class VolumeInput(Model):
    """One volume (VAR)."""

    pv_name: Annotated[str, StringConstraints(pattern=_PV_NAME)] = Field(
        description="Longhorn volume = PersistentVolume = volume handle.", json_schema_extra=about("ODF-002")
    )
    pvc_name: Annotated[str, StringConstraints(pattern=_PV_NAME)] = Field(
        description="The claim in `namespace`.", json_schema_extra=about("VAR")
    )
    namespace: DnsLabel = Field(description="Namespace of claim and workload.", json_schema_extra=about("VAR"))
    size_bytes: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*$")] = Field(
        description="Capacity, quoted: the resource's field is a string.",
        json_schema_extra=about("VAR-009", unit="bytes"),
    )
    size_human: Quantity = Field(
        description="The same as a quantity, for claim and PersistentVolume.", json_schema_extra=about("VAR-009")
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        description="Access mode.", json_schema_extra=about("VAR-004")
    )
    workload_kind: WorkloadKind = Field(
        default=WorkloadKind.DEPLOYMENT, description="What mounts it.", json_schema_extra=about("VAR")
    )
    workload_name: Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$")] = Field(
        default="",
        description="The workload to stop and start; empty: nothing is scaled, and nothing may mount the claim.",
        json_schema_extra=about("VAR-006"),
    )
    scale_down: bool = Field(
        default=True,
        description="Stop the workload; false: somebody else has, and it is only checked that it is down.",
        json_schema_extra=about("VAR-008"),
    )
    scale_up: bool = Field(
        default=True, description="Start the workload again afterwards.", json_schema_extra=about("VAR-008")
    )
    scale_up_after: tuple[WorkloadRef, ...] = Field(
        default=(),
        description="Workloads that must be ready first, like the secret store: a sealed one is not.",
        json_schema_extra=about("VAR-008, CLR-020"),
    )
    replicas_after: Annotated[int, Field(ge=0)] | Literal["restore"] = Field(
        default="restore",
        description="Replicas of the workload afterwards; restore: as many as it had, at least one if it was stopped.",
        json_schema_extra=about("VAR-008"),
    )
    source_node: str = Field(default="", description="Only this node.", json_schema_extra=about("VAR-002, VAR-003"))
    source_dir: str = Field(
        default="", description="Only this replica directory.", json_schema_extra=about("VAR-002, VAR-003")
    )
    verify_cmd: str = Field(
        default="", description="Shell command run in a pod at the end.", json_schema_extra=about("LHR-153")
    )
    max_unreadable_files: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Fail when more files cannot be read; 0 for a database.",
        json_schema_extra=about("LHR-116, OQ-19"),
    )
    allow_resize: bool = Field(
        default=False, description="Accept a source smaller than the volume.", json_schema_extra=about("VAR-009")
    )
    priority: int = Field(default=100, description="Lower goes first.", json_schema_extra=about("LHR-007"))

    @property
    def key(self) -> str:
        """The name of everything this volume owns on a node: unique across namespaces (LHR-041, DEF-15)."""
        return f"{self.namespace}.{self.pvc_name}.{self.pv_name}"

    @property
    def size(self) -> int:
        """Capacity in bytes."""
        return int(self.size_bytes)

    @property
    def workload(self) -> WorkloadRef | None:
        """The workload to stop and start, if one is named: volumes with the same belong together (VAR-008)."""
        if not self.workload_name:
            return None
        return WorkloadRef(kind=self.workload_kind, namespace=self.namespace, name=self.workload_name)

    @property
    def handling(self) -> dict[str, Any]:
        """What is done with the workload: the same for all volumes of one."""
        keys = ("workload_kind", "workload_name", "scale_down", "scale_up", "scale_up_after", "replicas_after")
        return {key: getattr(self, key) for key in keys}

    @property
    def longhorn_access_mode(self) -> str:
        """Longhorn's word for the access mode (VAR-004)."""
        return {"readwriteonce": "rwo", "readwritemany": "rwx"}[self.access_mode.lower()]

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        modes = {"readwriteonce": "ReadWriteOnce", "readwritemany": "ReadWriteMany"}
        if isinstance(values, dict) and isinstance(values.get("access_mode"), str):
            mode = values["access_mode"]
            return {**values, "access_mode": modes.get(mode.lower(), mode)}
        return values

    @model_validator(mode="after")
    def _agrees(self) -> VolumeInput:
        problems = []
        if quantity_bytes(self.size_human) != self.size:
            problems.append(
                f"size_bytes {self.size_bytes} and size_human {self.size_human} are different sizes (VAR-009)"
            )
        if self.source_dir and not re.fullmatch(rf"{re.escape(self.pv_name)}-[0-9a-f]{{8}}", self.source_dir):
            problems.append(
                f"source_dir {self.source_dir!r} is no replica directory of {self.pv_name}: "
                f"it is named {self.pv_name}-XXXXXXXX with 8 hex digits (VAR-010)"
            )
        if self.scale_up_after and not self.workload_name:
            problems.append("scale_up_after needs workload_name: there is no workload that could wait (VAR-008)")
        if self.verify_cmd and not self.workload_name:
            problems.append("verify_cmd needs workload_name: without a workload there is no pod to run it in (DEF-16)")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class FlowSettings(Model):
    """What is the same for all volumes of a run."""

    nodes: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Longhorn's names of the nodes with replica directories.", json_schema_extra=about("LHR-020")
    )
    data_path: NodePath = Field(description="Longhorn's data path on the nodes.", json_schema_extra=about("LHP-049"))
    backup_base: NodePath = Field(description="Where copies of sources are kept.", json_schema_extra=about("LHR-040"))
    merged_base: NodePath = Field(
        description="Where images are kept; not in memory.", json_schema_extra=about("LHR-018")
    )
    longhorn_namespace: DnsLabel = Field(
        default="longhorn-system", description="Longhorn's namespace.", json_schema_extra=about("LHP-020")
    )
    chart_host: HostName = Field(
        default="charts.longhorn.io",
        description="Where a reinstall fetches the chart; without its address nothing is removed.",
        json_schema_extra=about("LHP-014, LHP-053"),
    )
    gitops_namespace: DnsLabel = Field(
        default="argocd", description="Where ArgoCD's Applications are.", json_schema_extra=about("LHR-019")
    )
    storage_class: str = Field(
        default="longhorn", description="Class of claim and volume.", json_schema_extra=about("LHR-140")
    )
    number_of_replicas: Annotated[int, Field(ge=1, le=9)] = Field(
        default=3, description="Copies that Longhorn keeps.", json_schema_extra=about("LHR-082")
    )
    copy_method: CopyMethod = Field(
        default=CopyMethod.EXTENTS,
        description="How sources are backed up; cp and rsync change what the layers own.",
        json_schema_extra=about("LHR-044, GLK-026"),
    )
    allow_missing_nodes: bool = Field(
        default=False, description="Go on without nodes that do not answer.", json_schema_extra=about("LHR-037")
    )
    all_managers_ready: bool = Field(
        default=True,
        description="Every node must have a Ready manager; otherwise one Running is enough.",
        json_schema_extra=about("LHR-012, LHR-013"),
    )
    min_actual_kib: Annotated[int, Field(ge=0)] = Field(
        default=16,
        description="A directory must be larger to count as data.",
        json_schema_extra=about("LHR-023", unit="KiB"),
    )
    incident_time: Annotated[str, AfterValidator(moment)] = Field(
        default="",
        description="Directories changed later are no sources; RFC 3339.",
        json_schema_extra=about("LHR-033, OQ-11"),
    )
    empty_volume_bytes: Annotated[int, Field(ge=0)] = Field(
        default=256 * 2**20,
        description="A volume with less than this, as Longhorn counts it, may be an empty one.",
        json_schema_extra=about("LHR-146", unit="bytes"),
    )
    keep_attached_on_failure: bool = Field(
        default=False, description="Leave the device for a person to look at.", json_schema_extra=about("LHR-133")
    )
    device_directory: NodePath = Field(
        default="/dev/longhorn", description="Where Longhorn shows devices.", json_schema_extra=about("LHR-104")
    )
    mount_base: NodePath = Field(
        default="/run/factory-recovery",
        description="Where images and devices are mounted.",
        json_schema_extra=about("LHR-111"),
    )
    work_directory: NodePath = Field(
        default="/var/lib/factory-recovery",
        description="Where the nodes keep the recovery program and its running jobs; for root alone.",
        json_schema_extra=about("LHR-182"),
    )
    short_wait_seconds: Seconds = Field(
        default=60, description="Scale-down, claims.", json_schema_extra=about("LHR 5.13", unit="s")
    )
    long_wait_seconds: Seconds = Field(
        default=120, description="Attach, replicas, readiness.", json_schema_extra=about("LHR 5.13", unit="s")
    )
    copy_seconds: Seconds = Field(
        default=24 * 3600, description="Limit of one copy or merge.", json_schema_extra=about("LHR-182", unit="s")
    )

    @model_validator(mode="before")
    @classmethod
    def _why_not(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        method = values.get("copy_method") if isinstance(values, dict) else None
        if method in _REFUSED_METHODS:
            message = f"copy_method {method!r} is refused: it {_REFUSED_METHODS[method]}. Use extents or tar (DEF-05)"
            raise ValueError(message)
        return values

    @model_validator(mode="after")
    def _apart(self) -> FlowSettings:
        replicas = f"{self.data_path}/replicas"
        for name in ("backup_base", "merged_base", "mount_base"):
            if f"{getattr(self, name)}/".startswith(f"{replicas}/"):
                message = f"{name} lies inside {replicas}: nothing is ever written there (INV-001)"
                raise ValueError(message)
        return self


class InvalidInputError(Exception):
    """Everything that is wrong with the input, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def parse(document: Any, settings: FlowSettings | None = None) -> tuple[VolumeInput, ...]:  # noqa: ANN401 - any YAML
    """Read the volumes of an input, by priority. Raises InvalidInputError with all mistakes (VAR-001, VAR-010)."""
    items = document.get(_LIST_KEY) if isinstance(document, Mapping) else None
    if not isinstance(items, list) or not items:
        raise InvalidInputError([f"{_LIST_KEY}: no volume is given; write a list, one mapping per volume (VAR-001)"])
    problems: list[str] = []
    unknown = sorted(str(key) for key in document if key not in {_LIST_KEY, "site"})
    problems += [f"{key}: unknown key; only {_LIST_KEY} and site are read" for key in unknown]
    volumes: list[VolumeInput] = []
    for index, item in enumerate(items):
        try:
            volumes.append(VolumeInput.model_validate(item))
        except ValidationError as error:
            problems += list(explain(f"{_LIST_KEY}[{index}]", error))
    problems += _duplicates(volumes)
    problems += _contradictions(volumes)
    if settings is not None:
        problems += [
            f"{volume.pv_name}: source_node {volume.source_node!r} is none of {', '.join(settings.nodes)} (VAR-010)"
            for volume in volumes
            if volume.source_node and volume.source_node not in settings.nodes
        ]
    if problems:
        raise InvalidInputError(problems)
    return tuple(sorted(volumes, key=lambda volume: volume.priority))


def explain(place: str, error: ValidationError) -> Iterable[str]:
    """Say each mistake with its place and the value that was given."""
    for item in error.errors(include_url=False, include_context=False):
        path = ".".join([place, *(str(step) for step in item["loc"])])
        shown = "" if item["type"] in {"missing", "value_error"} else f" (given: {item['input']!r})"
        yield f"{path}: {item['msg'].removeprefix('Value error, ')}{shown}"


def _duplicates(volumes: Iterable[VolumeInput]) -> Iterable[str]:
    listed = list(volumes)
    names = Counter(volume.pv_name for volume in listed)
    claims = Counter(f"{volume.namespace}/{volume.pvc_name}" for volume in listed)
    for kind, counted in (("pv_name", names), ("claim", claims)):
        yield from (f"{kind} {name} is given {count} times (VAR-010)" for name, count in counted.items() if count > 1)


def _contradictions(volumes: Iterable[VolumeInput]) -> Iterable[str]:
    """Find volumes of one workload that want different things of it, and workloads that wait for each other."""
    first: dict[str, VolumeInput] = {}
    waits: dict[str, set[str]] = {}
    for volume in volumes:
        if volume.workload is None:
            continue
        workload = str(volume.workload)
        other = first.setdefault(workload, volume)
        differ = [key for key, value in volume.handling.items() if other.handling[key] != value]
        if differ:
            yield f"{workload}: {other.pv_name} and {volume.pv_name} differ in {', '.join(differ)} (VAR-008)"
        waits.setdefault(workload, set()).update(str(awaited) for awaited in volume.scale_up_after)
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        yield f"scale_up_after: these wait for each other: {', '.join(error.args[1])} (VAR-008)"
