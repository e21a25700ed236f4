"""What one application declares. Plain values only; its secrets are keyword arguments of the components."""

from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import DnsLabel, HostName, Model, Seconds, about
from . import args_fit
from .args_argo import ArgoArgs, GoDuration
from .args_database import DatabaseArgs
from .args_workload import EgressArgs, ImageArgs, IngressArgs, QuotaArgs, VolumeArgs, WorkloadArgs

__all__ = ["AppStackArgs", "CiArgs", "Delivery", "Mode", "VaultArgs"]

SecretKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=253)]
"""A key that Vault and a Kubernetes Secret both accept."""


class Mode(StrEnum):
    """Which halves of an application exist (NAME-33, NAME-34)."""

    FULL = "full"
    DATABASE_ONLY = "database-only"
    APPLICATION_ONLY = "application-only"


class Delivery(StrEnum):
    """The one writer of the workload's objects."""

    PULUMI = "pulumi"
    ARGOCD = "argocd"


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


_OF_A_NAMESPACE: Final = (
    *("vault.config_keys", "volumes", "volume_backup", "quota", "pod_security", "egress", "ingress"),
)
"""What says something only about a namespace of the application's own."""

_OF_A_WORKLOAD: Final = (
    *("organization", "chart", "delivery", "ci", "argo"),
    *("exposure", "hosts", "image", "workload", "volumes", "volume_backup", "quota", "pod_security"),
    *("egress", "ingress"),
    *("database.variables", "database.type_value", "vault.refresh_after"),
)
"""What says something only about what runs, and about its repository: beside a mere database it would be lost."""


class AppStackArgs(Model):
    """One application: everything it owns follows from this declaration (APP-01). Its key is its name (NAME-01)."""

    mode: Mode = Field(
        default=Mode.FULL,
        description="full; database-only: nothing that runs and no repository; application-only: no database.",
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
        default=WorkloadArgs(),
        description="Deployment and Service. With `delivery: argocd` the chart writes them, and of this only `port`, "
        "`resources`, `autoscaling` and `service_account_token` are used, by what surrounds the pod.",
        json_schema_extra=about("section 4"),
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
    ingress: tuple[IngressArgs, ...] = Field(
        default=(),
        description="Who may reach the application beside Traefik; everybody else is denied.",
        json_schema_extra=about("CHART-41"),
    )
    decommission: bool = Field(
        default=False,
        description="First step of a removal: back database and configuration up and lift the data's protection. "
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
    def writes_workload(self) -> bool:
        """Whether this program writes the workload's objects; otherwise ArgoCD does, if anything runs."""
        return self.has_workload and self.delivery is Delivery.PULUMI

    @property
    def uses_vault(self) -> bool:
        """Whether the application has anything in Vault: an application without secrets has nothing there (APPG-30)."""
        return self.has_database or bool(self.vault.config_keys)

    def _given(self, keys: tuple[str, ...]) -> list[str]:
        """Return which of the keys have another value than when they are absent."""
        absent = AppStackArgs()
        return [key for key in keys if attrgetter(key)(self) != attrgetter(key)(absent)]

    @model_validator(mode="after")
    def _mode_is_consistent(self) -> Self:
        if self.mode is Mode.APPLICATION_ONLY and self.database != DatabaseArgs():
            raise ValueError("mode 'application-only' has no database: remove the section database, or the mode")
        if self.mode is Mode.DATABASE_ONLY and (given := self._given(_OF_A_WORKLOAD)):
            message = f"mode 'database-only' has no workload and no repository: remove {', '.join(given)}, or the mode"
            raise ValueError(message)
        if self.platform_application and self.mode is not Mode.APPLICATION_ONLY:
            raise ValueError(
                "platform_application needs mode 'application-only': the platform's namespaces have no database"
            )
        if self.platform_application and (given := self._given(_OF_A_NAMESPACE)):
            message = f"platform_application writes nothing into its namespace: remove {', '.join(given)}"
            raise ValueError(message)
        if self.platform_application and self.delivery is not Delivery.ARGOCD:
            raise ValueError(
                "platform_application needs delivery 'argocd': this program does not write into that namespace"
            )
        return self

    @model_validator(mode="after")
    def _vault_has_something_to_open(self) -> Self:
        if self.uses_vault:
            return self
        keys = ("ops_policies", "service_account_names", "service_account_namespaces")
        given = [f"vault.{key}" for key in keys if getattr(self.vault, key)]
        if given:
            message = (
                f"{', '.join(given)} would open nothing: an application without a database and without "
                "vault.config_keys has nothing in Vault (APPG-30); add vault.config_keys, or remove this"
            )
            raise ValueError(message)
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
        if self.writes_workload:
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
        many = self.workload.replicas > 1 or self.workload.autoscaling is not None
        if many and args_fit.single_writer(self.volumes):
            raise ValueError(
                "a ReadWriteOnce volume allows one pod (CHART-31, CHART-32): set workload.replicas to 1 and remove "
                "workload.autoscaling, or use ReadWriteMany"
            )
        return self

    @model_validator(mode="after")
    def _volumes_have_their_own_places(self) -> Self:
        memory = self.writes_workload and self.workload.read_only_root
        if shared := list(args_fit.shared_places(self.volumes, mounted=self.writes_workload, memory=memory)):
            others = "each other, or with the memory at /tmp of workload.read_only_root" if memory else "each other"
            message = f"volumes share {', '.join(shared)} with {others}; give each its own"
            raise ValueError(message)
        if len(self.volumes) > self.quota.volumes:
            message = (
                f"quota.volumes {self.quota.volumes} is less than the {len(self.volumes)} volumes declared; raise it"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _pods_have_room(self) -> Self:
        if self.writes_workload and (missing := list(args_fit.missing_room(self.workload, self.volumes, self.quota))):
            message = (
                f"the namespace has no room for all pods, and for the one more with which a rollout begins (CHART-42), "
                f"as {', '.join(missing)}; raise the quota, or lower what the pods take"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _variables_have_one_source(self) -> Self:
        if not self.writes_workload:
            return self
        sources = {
            "workload.environment": self.workload.environment,
            "database.variables": self.database.variables.names if self.has_database else (),
            "vault.config_keys": self.vault.config_keys if self.workload.config_environment else (),
        }
        if contested := list(args_fit.contested_variables(sources)):
            message = (
                f"variables would be set twice, {', '.join(contested)}; rename or remove one of each, a "
                "database variable with null"
            )
            raise ValueError(message)
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
