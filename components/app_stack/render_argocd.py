"""The ArgoCD side of an application: its project and its Application, as Kubernetes manifests."""

from typing import Any, Final

from .app import App

__all__ = ["WORKLOAD_KINDS", "app_project", "application"]

Manifest = dict[str, Any]

WORKLOAD_KINDS: Final = (
    ("", "ConfigMap"),
    ("", "Service"),
    ("apps", "Deployment"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "Ingress"),
)
"""Group and kind of the workload's objects, which either Pulumi or ArgoCD writes.

The project admits no other kind, so a chart that carries a ServiceAccount, a volume claim or a Vault resource of its
own is refused instead of fighting with this program.
"""

_EVERYTHING: Final = [{"group": "*", "kind": "*"}]


def app_project(app: App) -> Manifest:
    """Confine the Application to its repository, its namespace and the workload's kinds (ARGO-24)."""
    argocd = app.platform.argocd
    platform = app.args.platform_application
    kinds = [{"group": group, "kind": kind} for group, kind in WORKLOAD_KINDS]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": app.names.project, "namespace": argocd.namespace},
        "spec": {
            "description": f"{app.names.app}: one repository, one namespace",
            "sourceRepos": [app.names.repository_url],
            "destinations": [{"server": argocd.server, "namespace": app.names.namespace}],
            "clusterResourceWhitelist": _EVERYTHING if platform else [],
            "namespaceResourceWhitelist": _EVERYTHING if platform else kinds,
        },
    }


def application(app: App) -> Manifest:
    """Deploy the repository's chart (ARGO-03 to ARGO-09, ARGO-22, ARGO-25, ARGO-26)."""
    argo = app.args.argo
    metadata: Manifest = {"name": app.names.application, "namespace": app.platform.argocd.namespace}
    if annotations := {**_image_updater(app), **argo.annotations}:
        metadata["annotations"] = annotations
    if argo.cascade:
        metadata["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    spec: Manifest = {
        "project": app.names.project,
        "source": {
            "repoURL": app.names.repository_url,
            "targetRevision": argo.target_revision,
            "path": "chart",
        },
        "destination": {"server": app.platform.argocd.server, "namespace": app.names.namespace},
        "syncPolicy": _sync_policy(app),
    }
    if ignored := _ignored_differences(app):
        spec["ignoreDifferences"] = ignored
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec}


def _sync_policy(app: App) -> Manifest:
    policy = app.args.argo.sync_policy
    options = {"CreateNamespace": "true", "RespectIgnoreDifferences": "true"}
    # Merged by name: the override of one option replaces it and leaves the others (ARGO-22).
    options |= dict(option.split("=", 1) for option in policy.sync_options)
    manifest: Manifest = {
        "syncOptions": [f"{name}={value}" for name, value in sorted(options.items())],
        "retry": {
            "limit": policy.retry.limit,
            "backoff": {
                "duration": policy.retry.backoff,
                "factor": policy.retry.factor,
                "maxDuration": policy.retry.max_backoff,
            },
        },
    }
    if policy.automated is not None and not app.args.argo.maintenance:
        manifest["automated"] = {"prune": policy.automated.prune, "selfHeal": policy.automated.self_heal}
    return manifest


def _image_updater(app: App) -> dict[str, str]:
    if not app.args.image.auto_update:
        return {}
    prefix, alias = "argocd-image-updater.argoproj.io", app.names.app
    return {
        f"{prefix}/image-list": f"{alias}={app.names.image}:{app.args.image.tag or 'latest'}",
        f"{prefix}/{alias}.update-strategy": "digest",
    }


def _ignored_differences(app: App) -> list[Manifest]:
    """Leave to others what they write: replicas to an autoscaler or to a person in maintenance (ARGO-25, ARGO-26)."""
    if app.args.workload.autoscaling is None and not app.args.argo.maintenance:
        return []
    return [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
