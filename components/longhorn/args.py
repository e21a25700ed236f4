"""What is declared on top of a Longhorn that is installed already: storage, backups, and looks at its health."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ..model import DnsLabel, Model, OperatorPath, about
from .flow.site import SiteArgs

__all__ = ["BackupTargetArgs", "LonghornArgs", "ObjectBackupArgs", "RecurringJobArgs", "StorageClassArgs"]

_OWN_CLASSES = frozenset({"longhorn", "longhorn-static"})

Cron = Annotated[str, StringConstraints(pattern=r"^(\S+\s){4}\S+$")]
"""Five fields: minute, hour, day of the month, month, day of the week."""

Task = Literal["backup", "backup-force-create", "snapshot", "snapshot-cleanup", "snapshot-delete", "filesystem-trim"]
"""What a recurring job can do."""


class StorageClassArgs(Model):
    """One class of volumes."""

    name: DnsLabel = Field(
        description="Name of the class; not `longhorn` or `longhorn-static`, which Longhorn makes by itself.",
        json_schema_extra=about("LHR-140"),
    )
    default: bool = Field(
        default=False, description="Whether claims without a class get it.", json_schema_extra=about("LHR-140")
    )
    replicas: Annotated[int, Field(ge=1, le=9)] = Field(
        default=3, description="Copies of each volume.", json_schema_extra=about("LHR-140, RDM-04")
    )
    stale_replica_minutes: Annotated[int, Field(ge=1)] = Field(
        default=30,
        description="After this long a failed replica is given up.",
        json_schema_extra=about("LHR-140", unit="minutes"),
    )
    data_locality: Literal["disabled", "best-effort", "strict-local"] = Field(
        default="disabled", description="Whether a copy is kept where the pod runs.", json_schema_extra=about("LHR-140")
    )
    file_system: Literal["ext4", "xfs"] = Field(
        default="ext4",
        description="File system of new volumes; the recovery reads and writes ext4.",
        json_schema_extra=about("LHR-140, RDM-12"),
    )
    reclaim_policy: Literal["Delete", "Retain"] = Field(
        default="Retain",
        description="What becomes of a volume when its claim goes.",
        json_schema_extra=about("LHR-079"),
    )
    expandable: bool = Field(
        default=True, description="Whether claims may grow.", json_schema_extra=about("LHR-140, GLK-009")
    )
    job_groups: tuple[DnsLabel, ...] = Field(
        default=(),
        description="Groups of recurring jobs which new volumes belong to.",
        json_schema_extra=about("NFS-02"),
    )

    @model_validator(mode="after")
    def _local_is_single(self) -> "StorageClassArgs":
        if self.data_locality == "strict-local" and self.replicas != 1:
            message = f"data_locality strict-local needs replicas 1, not {self.replicas}"
            raise ValueError(message)
        if self.name in _OWN_CLASSES:
            message = f"Longhorn makes the class {self.name} itself, and it would have two writers; give another name"
            raise ValueError(message)
        return self


class RecurringJobArgs(Model):
    """Something that Longhorn does to volumes again and again."""

    name: DnsLabel = Field(description="Name of the job.", json_schema_extra=about("NFS-02"))
    task: Task = Field(description="What it does.", json_schema_extra=about("NFS-02"))
    cron: Cron = Field(
        description="When: five fields, for minute, hour, day of the month, month, day of the week.",
        json_schema_extra=about("NFS-02, BKP-060"),
    )
    retain: Annotated[int, Field(ge=0, le=250)] = Field(
        description="How many results of each volume stay; 250 layers are all that a volume can have.",
        json_schema_extra=about("BKP-060, GLK-004"),
    )
    concurrency: Annotated[int, Field(ge=1, le=10)] = Field(
        default=1, description="Volumes at the same time.", json_schema_extra=about("NFS-02")
    )
    groups: tuple[DnsLabel, ...] = Field(
        default=(),
        description="Groups of volumes it is for; `default` for volumes without any. A volume also has a job by its "
        "label `recurring-job.longhorn.io/NAME: enabled`.",
        json_schema_extra=about("NFS-02"),
    )

    @model_validator(mode="after")
    def _keeps_something(self) -> "RecurringJobArgs":
        makes = self.task in {"backup", "backup-force-create", "snapshot"}
        if makes and self.retain == 0:
            message = f"a {self.task} that keeps 0 results keeps nothing; retain at least 1"
            raise ValueError(message)
        return self


class BackupTargetArgs(Model):
    """Where backups go: a store outside the cluster."""

    name: DnsLabel = Field(
        default="offsite",
        description="Its name; not `default`, which Longhorn makes by itself.",
        json_schema_extra=about("MTH-004"),
    )
    url: Annotated[str, StringConstraints(pattern=r"^(s3|nfs|cifs|azblob)://[^\s]+$")] = Field(
        description="Address, for instance s3://bucket@region/prefix.", json_schema_extra=about("MTH-004, GCS-01")
    )
    endpoint: Annotated[str, StringConstraints(pattern=r"^https://[^\s/]+$")] | None = Field(
        default=None,
        description="Endpoint of an S3-compatible store that is not AWS.",
        json_schema_extra=about("MTH-004, GCS-04"),
    )
    poll_seconds: Annotated[int, Field(ge=0)] = Field(
        default=300,
        description="How often the store is looked at; 0 never.",
        json_schema_extra=about("BKP-007", unit="s"),
    )

    @property
    def needs_keys(self) -> bool:
        """Whether the store is opened with an access key and its secret."""
        return self.url.startswith("s3://")

    @model_validator(mode="after")
    def _own_name(self) -> "BackupTargetArgs":
        if self.name == "default":
            message = "Longhorn makes the target `default` itself, and it would have two writers; give another name"
            raise ValueError(message)
        return self


class ObjectBackupArgs(Model):
    """Dumps of the objects that describe the volumes: a cluster that is gone is put together again from them."""

    folders: tuple[OperatorPath, ...] = Field(
        description="Where a dump goes: paths from `/` or `~/` on the machine that runs Pulumi. A folder on Longhorn "
        "is refused, for it would disappear with what it protects.",
        json_schema_extra=about("BKP-014", unit="path"),
    )
    keep: Annotated[int, Field(ge=1)] = Field(
        default=14,
        description="Good dumps that stay in each folder, however old.",
        json_schema_extra=about("BKP-015", unit="dumps"),
    )
    trigger: str = Field(
        default="",
        description="Any text, for instance a date: another one dumps again at the next `up`. Between two, "
        "`./factory recover dump` does, from a timer.",
        json_schema_extra=about("BKP-021"),
    )

    @model_validator(mode="after")
    def _somewhere(self) -> "ObjectBackupArgs":
        if not self.folders:
            message = "no folder is given; name at least one that is not on Longhorn"
            raise ValueError(message)
        return self


class LonghornArgs(Model):
    """What is declared on top of an installed Longhorn."""

    namespace: DnsLabel = Field(
        default="longhorn-system", description="Longhorn's namespace.", json_schema_extra=about("LHP-020")
    )
    storage_classes: tuple[StorageClassArgs, ...] = Field(
        default=(), description="Classes of volumes.", json_schema_extra=about("LHR-140")
    )
    recurring_jobs: tuple[RecurringJobArgs, ...] = Field(
        default=(), description="Snapshots and backups.", json_schema_extra=about("NFS-02, BKP-060")
    )
    backup_target: BackupTargetArgs | None = Field(
        default=None, description="Where backups go.", json_schema_extra=about("MTH-004")
    )
    object_backup: ObjectBackupArgs | None = Field(
        default=None,
        description="Dumps of PersistentVolumes, claims and Longhorn's objects.",
        json_schema_extra=about("BKP-010, DRV-004"),
    )
    diagnosis: SiteArgs | None = Field(
        default=None,
        description="How the nodes are reached. Given, each refresh looks at Longhorn's control plane, and says what "
        "would be the first step; it changes nothing. `./factory recover` reads the same as `site`.",
        json_schema_extra=about("DRV-004, LHP-002"),
    )

    @model_validator(mode="after")
    def _agrees(self) -> "LonghornArgs":
        problems = []
        for kind, names in (
            ("storage class", [item.name for item in self.storage_classes]),
            ("recurring job", [item.name for item in self.recurring_jobs]),
        ):
            problems += [f"{kind} {name} is given twice" for name in sorted({n for n in names if names.count(n) > 1})]
        defaults = [item.name for item in self.storage_classes if item.default]
        if len(defaults) > 1:
            problems.append(f"only one class can be the default, not {', '.join(defaults)}")
        known = {group for job in self.recurring_jobs for group in job.groups}
        for item in self.storage_classes:
            problems += [
                f"class {item.name}: no recurring job has the group {group}"
                for group in item.job_groups
                if group not in known
            ]
        backups = [job.name for job in self.recurring_jobs if job.task.startswith("backup")]
        if backups and self.backup_target is None:
            problems.append(f"jobs {', '.join(backups)} back up, and there is no backup_target")
        looked_at = self.diagnosis.settings.longhorn_namespace if self.diagnosis else self.namespace
        if looked_at != self.namespace:
            problems.append(f"diagnosis.settings.longhorn_namespace is {looked_at}, and namespace is {self.namespace}")
        if problems:
            message = f"{'; '.join(problems)}: let the parts agree"
            raise ValueError(message)
        return self
