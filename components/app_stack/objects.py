"""Registers Kubernetes manifests, each as the resource class of its kind."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pulumi
import pulumi_kubernetes as kubernetes

__all__ = ["register"]

Manifest = Mapping[str, Any]

_CLASSES: Final[Mapping[str, Callable[..., pulumi.CustomResource]]] = {
    "ConfigMap": kubernetes.core.v1.ConfigMap,
    "Deployment": kubernetes.apps.v1.Deployment,
    "HorizontalPodAutoscaler": kubernetes.autoscaling.v2.HorizontalPodAutoscaler,
    "Ingress": kubernetes.networking.v1.Ingress,
    "LimitRange": kubernetes.core.v1.LimitRange,
    "Namespace": kubernetes.core.v1.Namespace,
    "NetworkPolicy": kubernetes.networking.v1.NetworkPolicy,
    "PersistentVolumeClaim": kubernetes.core.v1.PersistentVolumeClaim,
    "ResourceQuota": kubernetes.core.v1.ResourceQuota,
    "Service": kubernetes.core.v1.Service,
    "ServiceAccount": kubernetes.core.v1.ServiceAccount,
}
_FIELDS: Final = {"automountServiceAccountToken": "automount_service_account_token", "data": "data", "spec": "spec"}


def register(
    name: str,
    manifest: Manifest,
    opts: pulumi.ResourceOptions,
    *,
    namespace: pulumi.Input[str] | None = None,
) -> pulumi.CustomResource:
    """Register ``manifest`` under ``name``; a namespace given as an output makes the object wait for it."""
    metadata = dict(manifest["metadata"])
    if namespace is not None:
        metadata["namespace"] = namespace
    kind = manifest["kind"]
    if kind in _CLASSES:
        fields = {argument: manifest[field] for field, argument in _FIELDS.items() if field in manifest}
        return _CLASSES[kind](name, metadata=metadata, opts=opts, **fields)
    return kubernetes.apiextensions.CustomResource(
        name,
        api_version=manifest["apiVersion"],
        kind=kind,
        metadata=metadata,
        spec=manifest["spec"],
        opts=opts,
    )
