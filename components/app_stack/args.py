"""What one application declares. Plain values only; its secrets are keyword arguments of the components."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import CidrBlock, DnsLabel, HostName, Model, Port, Quantity, Seconds, SqlName, about

__all__ = [
    "AppStackArgs",
    "ArgoArgs",
    "AutomatedSyncArgs",
    "AutoscalingArgs",
    "CiArgs",
    "DatabaseArgs",
    "DatabaseVariables",
    "Delivery",
    "EgressArgs",
    "ImageArgs",
    "ImageKind",
    "Mode",
    "ProbeArgs",
    "QuotaArgs",
    "ResourcesArgs",
    "RetryArgs",
    "SyncPolicyArgs",
    "VaultArgs",
    "VolumeArgs",
    "WorkloadArgs",
]

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""

SecretKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=253)]
"""A key that Vault and a Kubernetes Secret both accept."""

GoDuration = Annotated[str, StringConstraints(pattern=r"^([0-9]+(s|m|h))+$")]
"""A duration such as ``30s``, ``1h`` or ``24h``."""


class Mode(StrEnum):
    """Which halves of an application exist (NAME-33, NAME-34)."""

    FULL = "full"
    DATABASE_ONLY = "database-only"
    APPLICATION_ONLY = "application-only"


class Delivery(StrEnum):
    """The one writer of the workload's objects."""

    PULUMI = "pulumi"
    ARGOCD = "argocd"


class ImageKind(StrEnum):
    """Where the image comes from: the application's own build or a public one (APP-11)."""

    OWN = "own"
    PUBLIC = "public"


class ImageArgs(Model):
    """The container image."""

    kind: ImageKind = Field(
        default=ImageKind.OWN,
        description="own: built by the application's repository; public: somebody else's, `repository` is required.",
        json_schema_extra=about("section 3.3, APP-11"),
    )
    repository: str | None = Field(
        default=None,
        min_length=1,
        description="Image without tag. Default: derived from the registry, organisation and name.",
        json_schema_extra=about("NAME-18"),
    )
    tag: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$",
        description="Tag. Required with `delivery: pulumi`; `latest` then also needs a digest.",
        json_schema_extra=about("CHART-02, CHART-43"),
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Digest of the image; wins over the tag.",
        json_schema_extra=about("CHART-43"),
    )
    auto_update: bool = Field(
        default=False,
        description="Let ArgoCD's image updater follow the tag by digest; needs `delivery: argocd`.",
        json_schema_extra=about("ARGO-09"),
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When a node pulls the image.", json_schema_extra=about("APPG-C06")
    )

    @model_validator(mode="after")
    def _public_image_is_named(self) -> Self:
        if self.kind is ImageKind.PUBLIC and self.repository is None:
            raise ValueError("kind 'public' needs repository: write the image's name without its tag")
        return self


class DatabaseVariables(Model):
    """Under which names the container finds its database. Absent names are not set."""

    host: EnvName | None = Field(
        default="DB_HOST", description="Host of the pooler.", json_schema_extra=about("CHART-04, CHART-05")
    )
    port: EnvName | None = Field(
        default="DB_PORT", description="Port of the pooler.", json_schema_extra=about("CHART-04")
    )
    name: EnvName | None = Field(default="DB_NAME", description="Database.", json_schema_extra=about("CHART-04"))
    type: EnvName | None = Field(
        default=None, description="Kind of database, see `type_value`.", json_schema_extra=about("CHART-04")
    )
    username: EnvName | None = Field(
        default=None, description="Short-lived user name, from the Secret.", json_schema_extra=about("CHART-06")
    )
    password: EnvName | None = Field(
        default=None, description="Short-lived password, from the Secret.", json_schema_extra=about("CHART-06")
    )
    url: EnvName | None = Field(
        default="DATABASE_URL",
        description="Connection URL composed from the short-lived credentials.",
        json_schema_extra=about("WEBAPP-L01"),
    )


class DatabaseArgs(Model):
    """The application's database and the life of its users."""

    name: SqlName | None = Field(
        default=None,
        description="Database, where it is not the application's name.",
        json_schema_extra=about("VAULT-20"),
    )
    default_ttl: Seconds = Field(
        default=3600,
        description="How long a short-lived user lives unless it is renewed.",
        json_schema_extra=about("VAULT-74", unit="seconds"),
    )
    max_ttl: Seconds = Field(
        default=86400,
        description="How long a short-lived user can be renewed.",
        json_schema_extra=about("VAULT-74", unit="seconds"),
    )
    connection_limit: int = Field(
        default=-1,
        ge=-1,
        description="Connections of one short-lived user; -1 is no limit.",
        json_schema_extra=about("VAULT-21", unit="connections"),
    )
    variables: DatabaseVariables = Field(
        default=DatabaseVariables(),
        description="Names of the environment variables.",
        json_schema_extra=about("CHART-04"),
    )
    type_value: str = Field(
        default="pgsql", description="Value of the `type` variable.", json_schema_extra=about("CHART-04")
    )

    @model_validator(mode="after")
    def _ttls_are_ordered(self) -> Self:
        if self.default_ttl > self.max_ttl:
            message = (
                f"default_ttl {self.default_ttl} s is longer than max_ttl {self.max_ttl} s: lower it or raise max_ttl"
            )
            raise ValueError(message)
        return self


class VaultArgs(Model):
    """What the application has in Vault beside its database users."""

    config_keys: tuple[SecretKey, ...] = Field(
        default=(),
        description="Keys of the secret `<app>/config`; each needs a value under `factory:secrets.<app>`.",
        json_schema_extra=about("VAULT-24"),
    )
    ops_policies: tuple[str, ...] = Field(
        default=(), description="Further policies of the application's CI.", json_schema_extra=about("VAULT-13")
    )
    service_account_names: tuple[DnsLabel, ...] = Field(
        default=(), description="Further ServiceAccounts with the runtime policy.", json_schema_extra=about("VAULT-14")
    )
    service_account_namespaces: tuple[DnsLabel, ...] = Field(
        default=(), description="Further namespaces of these ServiceAccounts.", json_schema_extra=about("VAULT-14")
    )
    token_ttl: Seconds = Field(
        default=3600,
        description="Life of a Vault token of the pod.",
        json_schema_extra=about("VAULT-22", unit="seconds"),
    )
    refresh_after: GoDuration = Field(
        default="24h",
        description="How often the configuration is read again.",
        json_schema_extra=about("CHART-12, CHART-14", unit="duration"),
    )


class CiArgs(Model):
    """The identity of the application's CI."""

    oauth_client_id: str | None = Field(
        default=None,
        min_length=1,
        description="Id of the repository's own OAuth2 client on the forge. Without it CI cannot log in to Vault.",
        json_schema_extra=about("VAULT-08, VAULT-71"),
    )


class AutomatedSyncArgs(Model):
    """What ArgoCD does without being asked."""

    prune: bool = Field(default=True, description="Delete what left the chart.", json_schema_extra=about("ARGO-07"))
    self_heal: bool = Field(default=True, description="Undo changes made by hand.", json_schema_extra=about("ARGO-07"))


class RetryArgs(Model):
    """How a failed sync is tried again."""

    limit: int = Field(default=5, ge=0, description="Attempts.", json_schema_extra=about("ARGO-25", unit="attempts"))
    backoff: GoDuration = Field(
        default="10s", description="First pause.", json_schema_extra=about("ARGO-25", unit="duration")
    )
    factor: int = Field(default=2, ge=1, description="Growth of the pause.", json_schema_extra=about("ARGO-25"))
    max_backoff: GoDuration = Field(
        default="3m", description="Longest pause.", json_schema_extra=about("ARGO-25", unit="duration")
    )


class SyncPolicyArgs(Model):
    """When and how ArgoCD syncs; merged with the platform's sync options, never appended to them (ARGO-22)."""

    automated: AutomatedSyncArgs | None = Field(
        default=AutomatedSyncArgs(),
        description="Sync without being asked; null for manual control.",
        json_schema_extra=about("ARGO-07, ARGO-08"),
    )
    sync_options: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z]+=[A-Za-z]+$")], ...] = Field(
        default=(),
        description="Sync options as `Name=value`; each replaces the default of the same name.",
        json_schema_extra=about("ARGO-22"),
    )
    retry: RetryArgs = Field(default=RetryArgs(), description="Retries.", json_schema_extra=about("ARGO-25"))


class ArgoArgs(Model):
    """The application's ArgoCD Application."""

    annotations: dict[str, str] = Field(
        default={}, description="Further annotations.", json_schema_extra=about("ARGO-02")
    )
    sync_policy: SyncPolicyArgs = Field(
        default=SyncPolicyArgs(), description="Sync policy.", json_schema_extra=about("ARGO-07, ARGO-08")
    )
    target_revision: str = Field(
        default="HEAD",
        min_length=1,
        description="Branch, tag or commit of the repository.",
        json_schema_extra=about("ARGO-05, SBX-07"),
    )
    cascade: bool = Field(
        default=False,
        description="Deleting the Application deletes what it deployed (resources-finalizer).",
        json_schema_extra=about("ARGO-25"),
    )
    maintenance: bool = Field(
        default=False,
        description="Suspend automated sync, so that work by hand, such as a restore, is not undone.",
        json_schema_extra=about("ARGO-26"),
    )


class ProbeArgs(Model):
    """Health checks by HTTP; without a path a TCP connection is the check."""

    liveness_path: str | None = Field(
        default=None,
        pattern=r"^/",
        description="Answers without touching the database.",
        json_schema_extra=about("WEBAPP-24, WEBAPP-I01"),
    )
    readiness_path: str | None = Field(
        default=None,
        pattern=r"^/",
        description="Answers when the application can serve.",
        json_schema_extra=about("WEBAPP-24, WEBAPP-I01"),
    )
    initial_delay: int = Field(
        default=5,
        ge=0,
        description="Pause before the first check.",
        json_schema_extra=about("WEBAPP-24", unit="seconds"),
    )
    period: Seconds = Field(
        default=10, description="Pause between checks.", json_schema_extra=about("WEBAPP-24", unit="seconds")
    )


class ResourcesArgs(Model):
    """Processor and memory of the container."""

    cpu_request: Quantity = Field(
        default="50m", description="CPU reserved.", json_schema_extra=about("CHART-42", unit="cores")
    )
    memory_request: Quantity = Field(
        default="64Mi", description="Memory reserved.", json_schema_extra=about("CHART-42", unit="bytes")
    )
    cpu_limit: Quantity = Field(
        default="500m", description="CPU at most.", json_schema_extra=about("CHART-42", unit="cores")
    )
    memory_limit: Quantity = Field(
        default="256Mi", description="Memory at most.", json_schema_extra=about("CHART-42", unit="bytes")
    )


class QuotaArgs(Model):
    """What the whole namespace may use."""

    cpu_limit: Quantity = Field(default="4", description="CPU.", json_schema_extra=about("CHART-42", unit="cores"))
    memory_limit: Quantity = Field(
        default="4Gi", description="Memory.", json_schema_extra=about("CHART-42", unit="bytes")
    )
    pods: int = Field(default=20, ge=1, description="Pods.", json_schema_extra=about("CHART-42", unit="pods"))
    volumes: int = Field(
        default=5, ge=0, description="Volume claims.", json_schema_extra=about("CHART-42", unit="claims")
    )


class AutoscalingArgs(Model):
    """A horizontal autoscaler; absent means none (CHART-01)."""

    min_replicas: int = Field(
        default=1, ge=1, description="Pods at least.", json_schema_extra=about("CHART-01", unit="pods")
    )
    max_replicas: int = Field(ge=2, description="Pods at most.", json_schema_extra=about("CHART-01", unit="pods"))
    cpu_percent: int = Field(
        default=80,
        ge=1,
        le=100,
        description="Use of the reserved CPU to aim at.",
        json_schema_extra=about("CHART-01", unit="%"),
    )

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.min_replicas > self.max_replicas:
            message = f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}: swap them"
            raise ValueError(message)
        return self


class VolumeArgs(Model):
    """A persistent volume claim. It is data: protected, and never pruned (CHART-30 to CHART-33)."""

    name: DnsLabel = Field(description="Name, after the application's.", json_schema_extra=about("CHART-30"))
    size: Quantity = Field(description="Size.", json_schema_extra=about("CHART-30", unit="bytes"))
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        default="ReadWriteOnce",
        description="ReadWriteOnce allows one pod only.",
        json_schema_extra=about("CHART-30, CHART-31"),
    )
    mount_path: str = Field(
        pattern=r"^/", description="Where the container finds it.", json_schema_extra=about("CHART-30", unit="path")
    )
    storage_class: DnsLabel | None = Field(
        default=None, description="Storage class. Default: the platform's.", json_schema_extra=about("CHART-30")
    )


class WorkloadArgs(Model):
    """The Deployment and what belongs to it."""

    port: Port = Field(
        default=8080, description="Port of the container.", json_schema_extra=about("WEBAPP-17", unit="port")
    )
    service_port: Port | None = Field(
        default=None,
        description="Port of the Service. Default: the container's.",
        json_schema_extra=about("WEBAPP-22", unit="port"),
    )
    replicas: int = Field(default=1, ge=0, description="Pods.", json_schema_extra=about("APPG-C07", unit="pods"))
    revision_history: int = Field(
        default=3, ge=0, description="Old ReplicaSets kept.", json_schema_extra=about("WEBAPP-17", unit="revisions")
    )
    environment: dict[EnvName, str] = Field(
        default={},
        description="Variables which are no secret; they stand in a ConfigMap.",
        json_schema_extra=about("CHART-04, CHART-40"),
    )
    command: tuple[str, ...] = Field(
        default=(), description="Command instead of the image's.", json_schema_extra=about("CHART-01")
    )
    arguments: tuple[str, ...] = Field(
        default=(), description="Arguments instead of the image's.", json_schema_extra=about("CHART-01")
    )
    probes: ProbeArgs = Field(default=ProbeArgs(), description="Health checks.", json_schema_extra=about("WEBAPP-24"))
    resources: ResourcesArgs = Field(
        default=ResourcesArgs(), description="Processor and memory.", json_schema_extra=about("CHART-42")
    )
    autoscaling: AutoscalingArgs | None = Field(
        default=None, description="Autoscaler; absent means none.", json_schema_extra=about("CHART-01, WEBAPP-25")
    )
    node_selector: dict[str, str] = Field(
        default={}, description="Labels of the nodes it may run on.", json_schema_extra=about("APPG-C13")
    )
    run_as_user: int = Field(
        default=10001,
        ge=0,
        description="User of the process; 0 needs a weaker `pod_security`.",
        json_schema_extra=about("CHART-42", unit="uid"),
    )
    read_only_root: bool = Field(
        default=True,
        description="The container's own file system is read-only; /tmp is memory.",
        json_schema_extra=about("CHART-42"),
    )
    service_account_token: bool = Field(
        default=False,
        description="Give the pod a token of its ServiceAccount; only for one that talks to Vault itself.",
        json_schema_extra=about("CHART-42"),
    )
    config_environment: bool = Field(
        default=True,
        description="Set every key of the configuration secret as a variable.",
        json_schema_extra=about("CHART-07"),
    )


class EgressArgs(Model):
    """One permitted destination outside the platform."""

    cidr: CidrBlock = Field(description="Range of addresses.", json_schema_extra=about("CHART-41"))
    ports: tuple[Port, ...] = Field(
        min_length=1, description="TCP ports.", json_schema_extra=about("CHART-41", unit="port")
    )


class AppStackArgs(Model):
    """One application: everything it owns follows from this declaration (APP-01). Its key is its name (NAME-01)."""

    mode: Mode = Field(
        default=Mode.FULL,
        description="full; database-only: no ArgoCD Application and no namespace; application-only: no database.",
        json_schema_extra=about("NAME-33, NAME-34"),
    )
    organization: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Owner of the repository. Default: the platform's organisation.",
        json_schema_extra=about("NAME-02, NAME-31"),
    )
    platform_application: bool = Field(
        default=False,
        description="Admit a reserved name, for an Application of the platform itself in a namespace that exists.",
        json_schema_extra=about("NAME-23, NAME-34"),
    )
    chart: str | None = Field(
        default=None,
        min_length=1,
        description="Chart name, where it is not the application's.",
        json_schema_extra=about("NAME-19, NAME-32"),
    )
    delivery: Delivery = Field(
        default=Delivery.ARGOCD,
        description="Who writes the workload's objects: this program, or ArgoCD from the repository's chart.",
        json_schema_extra=about("ARGO-12"),
    )
    exposure: tuple[str, ...] = Field(
        default=(),
        description="Exposure classes of the platform through which the application is served.",
        json_schema_extra=about("section 3.3"),
    )
    hosts: dict[str, tuple[HostName, ...]] = Field(
        default={},
        description="Hosts per exposure class, instead of the derived one.",
        json_schema_extra=about("NAME-30, NAME-31, NAME-32"),
    )
    image: ImageArgs = Field(default=ImageArgs(), description="Image.", json_schema_extra=about("section 3.3"))
    database: DatabaseArgs = Field(
        default=DatabaseArgs(), description="Database and its users.", json_schema_extra=about("section 7")
    )
    vault: VaultArgs = Field(default=VaultArgs(), description="Secrets.", json_schema_extra=about("section 8"))
    ci: CiArgs = Field(default=CiArgs(), description="Identity of CI.", json_schema_extra=about("VAULT-71"))
    argo: ArgoArgs = Field(default=ArgoArgs(), description="ArgoCD.", json_schema_extra=about("section 9"))
    workload: WorkloadArgs = Field(
        default=WorkloadArgs(), description="Deployment and Service.", json_schema_extra=about("section 4")
    )
    volumes: tuple[VolumeArgs, ...] = Field(
        default=(), description="Persistent volumes.", json_schema_extra=about("CHART-30")
    )
    quota: QuotaArgs = Field(
        default=QuotaArgs(), description="Limits of the namespace.", json_schema_extra=about("CHART-42")
    )
    pod_security: Literal["restricted", "baseline", "privileged"] = Field(
        default="restricted",
        description="Pod Security level which the namespace enforces.",
        json_schema_extra=about("CHART-42"),
    )
    egress: tuple[EgressArgs, ...] = Field(
        default=(),
        description="Destinations beside DNS and the pooler; everything else is denied.",
        json_schema_extra=about("CHART-41"),
    )
    decommission: bool = Field(
        default=False,
        description="First step of a removal: back the database up and lift the protection of the data. "
        "The second step is to remove the entry.",
        json_schema_extra=about("APP-39"),
    )
    volume_backup: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the backup taken of the volumes; `decommission` of an application with volumes needs it.",
        json_schema_extra=about("APP-39"),
    )

    @property
    def has_database(self) -> bool:
        """Whether the application has a database."""
        return self.mode is not Mode.APPLICATION_ONLY

    @property
    def has_workload(self) -> bool:
        """Whether the application has a namespace and something running in it."""
        return self.mode is not Mode.DATABASE_ONLY

    @property
    def uses_vault(self) -> bool:
        """Whether the application has anything in Vault: an application without secrets has nothing there (APPG-30)."""
        return self.has_database or bool(self.vault.config_keys)

    @model_validator(mode="after")
    def _mode_is_consistent(self) -> Self:
        if self.mode is Mode.APPLICATION_ONLY and self.database != DatabaseArgs():
            raise ValueError("mode 'application-only' has no database: remove the section database, or the mode")
        if self.mode is Mode.DATABASE_ONLY and (self.exposure or self.volumes or self.ci.oauth_client_id):
            raise ValueError(
                "mode 'database-only' has no workload and no repository: remove exposure, volumes and ci, or the mode"
            )
        if self.platform_application and self.mode is not Mode.APPLICATION_ONLY:
            raise ValueError(
                "platform_application needs mode 'application-only': the platform's namespaces have no database"
            )
        if self.platform_application and (self.vault.config_keys or self.volumes):
            raise ValueError(
                "platform_application writes nothing into its namespace: remove vault.config_keys and volumes"
            )
        if self.platform_application and self.delivery is not Delivery.ARGOCD:
            raise ValueError(
                "platform_application needs delivery 'argocd': this program does not write into that namespace"
            )
        return self

    @model_validator(mode="after")
    def _exposure_is_consistent(self) -> Self:
        if len(set(self.exposure)) != len(self.exposure):
            raise ValueError("exposure names a class twice: remove one")
        if unknown := sorted(set(self.hosts) - set(self.exposure)):
            message = f"hosts names {', '.join(unknown)}, which exposure does not: add it there or remove it here"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _image_is_reproducible(self) -> Self:
        if self.delivery is Delivery.PULUMI and self.has_workload:
            if self.image.tag is None and self.image.digest is None:
                raise ValueError("delivery 'pulumi' needs image.tag or image.digest: name the version to run")
            if self.image.tag == "latest" and self.image.digest is None:
                raise ValueError(
                    "image.tag 'latest' is not reproducible (CHART-43): name a version or add image.digest"
                )
            if self.image.auto_update:
                raise ValueError("image.auto_update needs delivery 'argocd': the updater writes to the Application")
        return self

    @model_validator(mode="after")
    def _single_writer_volumes_have_one_pod(self) -> Self:
        names = [volume.name for volume in self.volumes]
        if len(set(names)) != len(names):
            raise ValueError("volumes names a volume twice: give each its own name")
        if all(volume.access_mode != "ReadWriteOnce" for volume in self.volumes):
            return self
        if self.workload.replicas > 1 or self.workload.autoscaling is not None:
            raise ValueError(
                "a ReadWriteOnce volume allows one pod (CHART-31, CHART-32): set workload.replicas to 1 and remove "
                "workload.autoscaling, or use ReadWriteMany"
            )
        return self

    @model_validator(mode="after")
    def _root_needs_permission(self) -> Self:
        if self.pod_security == "restricted" and self.workload.run_as_user == 0:
            raise ValueError("workload.run_as_user 0 is root: set pod_security to 'baseline', or run as another user")
        return self

    @model_validator(mode="after")
    def _volumes_are_backed_up(self) -> Self:
        if self.decommission and self.volumes and self.volume_backup is None:
            raise ValueError(
                "decommission of an application with volumes needs volume_backup: back them up and name it"
            )
        return self
