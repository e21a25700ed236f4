"""ArgoCD's part of a declaration: the Application, and when and how it is synced."""

from typing import Annotated

from pydantic import Field, StringConstraints

from ..model import Model, about

__all__ = ["ArgoArgs", "AutomatedSyncArgs", "GoDuration", "RetryArgs", "SyncPolicyArgs"]

GoDuration = Annotated[str, StringConstraints(pattern=r"^([0-9]+(s|m|h))+$")]
"""A duration such as ``30s``, ``1h`` or ``24h``."""


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
