"""Storage classes, recurring jobs and the backup target of a Longhorn that is installed already."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ..model import DnsLabel, Model, about

__all__ = ["BackupTargetArgs", "LonghornArgs", "RecurringJobArgs", "StorageClassArgs"]

Cron = Annotated[str, StringConstraints(pattern=r"^(\S+\s){4}\S+$")]
"""Five fields: minute, hour, day of the month, month, day of the week."""

Task = Literal["backup", "backup-force-create", "snapshot", "snapshot-cleanup", "snapshot-delete", "filesystem-trim"]
"""What a recurring job can do."""


class StorageClassArgs(Model):
    """One class of volumes."""

    name: DnsLabel = Field(description="Name of the class.", json_schema_extra=about("LHR-140"))
    default: bool = Field(default=False, description="Whether claims without a class get it.")
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
    expandable: bool = Field(default=True, description="Whether claims may grow.")
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
        return self


class RecurringJobArgs(Model):
    """Something that Longhorn does to volumes again and again."""

    name: DnsLabel = Field(description="Name of the job.", json_schema_extra=about("NFS-02"))
    task: Literal[
        "backup", "backup-force-create", "snapshot", "snapshot-cleanup", "snapshot-delete", "filesystem-trim"
    ] = Field(description="What it does.", json_schema_extra=about("NFS-02"))
    cron: Cron = Field(description="When.", json_schema_extra=about("NFS-02, BKP-060"))
    retain: Annotated[int, Field(ge=0, le=250)] = Field(
        description="How many results of each volume stay; 250 layers are all that a volume can have.",
        json_schema_extra=about("BKP-060, GLK-004"),
    )
    concurrency: Annotated[int, Field(ge=1, le=10)] = Field(default=1, description="Volumes at the same time.")
    groups: tuple[DnsLabel, ...] = Field(
        default=(),
        description="Groups of volumes it is for; `default` for volumes without any.",
        json_schema_extra=about("NFS-02"),
    )

    @model_validator(mode="after")
    def _keeps_something(self) -> "RecurringJobArgs":
        makes = self.task in {"backup", "backup-force-create", "snapshot"}
        if makes and self.retain == 0:
            message = f"job {self.name}: a {self.task} that keeps 0 results keeps nothing"
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

    @model_validator(mode="after")
    def _own_name(self) -> "BackupTargetArgs":
        if self.name == "default":
            message = "name `default` is taken: Longhorn makes that target itself, and it would have two writers"
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
        if problems:
            raise ValueError("; ".join(problems))
        return self
