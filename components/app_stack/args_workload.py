"""The workload's part of a declaration: image, container, volumes, limits and network."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import CidrBlock, DnsLabel, Model, Port, Quantity, Seconds, about, amount

__all__ = [
    "AutoscalingArgs",
    "EgressArgs",
    "EnvName",
    "ImageArgs",
    "ImageKind",
    "IngressArgs",
    "ProbeArgs",
    "QuotaArgs",
    "ResourcesArgs",
    "VolumeArgs",
    "WorkloadArgs",
]

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""


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

    @model_validator(mode="after")
    def _what_is_reserved_may_be_used(self) -> Self:
        if amount(self.cpu_request) > amount(self.cpu_limit):
            message = f"cpu_request {self.cpu_request} is more than cpu_limit {self.cpu_limit}; raise the limit"
            raise ValueError(message)
        if amount(self.memory_request) > amount(self.memory_limit):
            message = f"memory_request {self.memory_request} is more than memory_limit {self.memory_limit}; raise that"
            raise ValueError(message)
        return self


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

    name: DnsLabel = Field(description="Name of the volume.", json_schema_extra=about("CHART-30"))
    claim: DnsLabel | None = Field(
        default=None,
        description="Name of the claim, for one that exists already. Default: the application's name and the volume's, "
        "joined by a hyphen.",
        json_schema_extra=about("CHART-30, APPG-C22"),
    )
    size: Quantity = Field(description="Size.", json_schema_extra=about("CHART-30", unit="bytes"))
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        default="ReadWriteOnce",
        description="ReadWriteOnce allows one pod only.",
        json_schema_extra=about("CHART-30, CHART-31"),
    )
    mount_path: str = Field(
        pattern=r"^/[^:]+$",
        description="Where the container finds it.",
        json_schema_extra=about("CHART-30", unit="path"),
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


class PodsArgs(Model):
    """Pods of a namespace: all of them, or those with these labels."""

    namespace: DnsLabel = Field(
        description="Their namespace; the application's own means its other pods.",
        json_schema_extra=about("CHART-41"),
    )
    labels: dict[str, str] = Field(
        default={}, description="Labels that they have. Default: any.", json_schema_extra=about("CHART-41")
    )


class IngressArgs(PodsArgs):
    """Pods beside Traefik's that may reach the application, for example what scrapes its metrics."""

    ports: tuple[Port, ...] = Field(
        default=(),
        description="TCP ports of the application's pods. Default: `workload.port`.",
        json_schema_extra=about("CHART-41", unit="port"),
    )


class EgressArgs(Model):
    """One permitted destination: pods, or a range of addresses."""

    pods: PodsArgs | None = Field(
        default=None, description="Pods; give this or `cidr`.", json_schema_extra=about("CHART-41")
    )
    cidr: CidrBlock | None = Field(default=None, description="Range of addresses.", json_schema_extra=about("CHART-41"))
    ports: tuple[Port, ...] = Field(
        min_length=1, description="TCP ports, of the pods themselves.", json_schema_extra=about("CHART-41", unit="port")
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.pods is None) == (self.cidr is None):
            raise ValueError("give exactly one of pods and cidr")
        return self
