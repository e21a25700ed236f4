"""The workload itself as manifests: what either Pulumi or the chart in the application's repository writes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from .app import App
from .args_fit import single_writer
from .render_namespace import CONFIG_OBJECT, CREDENTIALS_OBJECT, labels, metadata

__all__ = ["autoscaler", "config_map", "deployment", "image", "ingresses", "manifests", "service"]

Manifest = dict[str, Any]
_TRAEFIK: Final = "traefik.ingress.kubernetes.io/router"
_PORT_NAME: Final = "http"


def manifests(app: App) -> tuple[Manifest, ...]:
    """All objects of the workload; each has one writer (``delivery``)."""
    scaler = autoscaler(app)
    return (config_map(app), deployment(app), service(app), *ingresses(app), *(() if scaler is None else (scaler,)))


def image(app: App) -> str:
    """Name the image by digest where there is one (CHART-43)."""
    args = app.args.image
    if args.digest is not None:
        return f"{app.names.image}@{args.digest}"
    return f"{app.names.image}:{args.tag}" if args.tag is not None else app.names.image


def _selector(app: App) -> dict[str, str]:
    return {"app.kubernetes.io/name": app.names.app}


def config_map(app: App) -> Manifest:
    """Hold what is no secret: where the pooler is, and the application's own variables (CHART-04, CHART-05)."""
    data = dict(app.args.workload.environment)
    if app.args.has_database:
        database, pooler = app.args.database, app.platform.postgres.pooler
        values = {
            database.variables.host: pooler.host,
            database.variables.port: str(pooler.port),
            database.variables.name: app.names.database,
            database.variables.type: database.type_value,
        }
        data |= {key: value for key, value in values.items() if key is not None}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(app, app.names.app), "data": data}


def deployment(app: App) -> Manifest:
    """Run the container (WEBAPP-17), restricted (CHART-42), and alone on a volume with a single writer (CHART-31)."""
    workload = app.args.workload
    spec: Manifest = {
        "revisionHistoryLimit": workload.revision_history,
        "selector": {"matchLabels": _selector(app)},
        "strategy": {"type": "Recreate"}
        if single_writer(app.args.volumes)
        else {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {
                "labels": labels(app),
                # A changed ConfigMap does not restart pods; a changed annotation does.
                "annotations": {"checksum/config": _checksum(config_map(app)["data"])},
            },
            "spec": _pod(app),
        },
    }
    if workload.autoscaling is None:
        spec["replicas"] = workload.replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(app, app.names.app), "spec": spec}


def _checksum(data: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _pod(app: App) -> Manifest:
    workload = app.args.workload
    volumes: list[Manifest] = [
        {"name": volume.name, "persistentVolumeClaim": {"claimName": app.claim_of(volume)}}
        for volume in app.args.volumes
    ]
    if workload.read_only_root:
        volumes.append({"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}})
    pod: Manifest = {
        "serviceAccountName": app.names.service_account,
        "automountServiceAccountToken": workload.service_account_token,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": workload.run_as_user != 0,
            "runAsUser": workload.run_as_user,
            "fsGroup": workload.run_as_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(app)],
    }
    if volumes:
        pod["volumes"] = volumes
    if selector := _node_selector(app):
        pod["nodeSelector"] = selector
    return pod


def _node_selector(app: App) -> dict[str, str]:
    """Join what the exposure classes ask for and what the workload says; the workload wins (CHART-23, CHART-28)."""
    selector: dict[str, str] = {}
    for exposure in app.exposure.values():
        selector |= exposure.node_selector
    return selector | app.args.workload.node_selector


def _container(app: App) -> Manifest:
    workload, resources = app.args.workload, app.args.workload.resources
    mounts = [{"name": volume.name, "mountPath": volume.mount_path} for volume in app.args.volumes]
    if workload.read_only_root:
        mounts.append({"name": "tmp", "mountPath": "/tmp"})  # noqa: S108 - the container's own, in memory
    container: Manifest = {
        "name": app.names.app,
        "image": image(app),
        "imagePullPolicy": app.args.image.pull_policy,
        "ports": [{"name": _PORT_NAME, "containerPort": workload.port, "protocol": "TCP"}],
        "envFrom": _environment_sources(app),
        "livenessProbe": _probe(app, workload.probes.liveness_path),
        "readinessProbe": _probe(app, workload.probes.readiness_path),
        "resources": {
            "requests": {"cpu": resources.cpu_request, "memory": resources.memory_request},
            "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": workload.read_only_root,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    optional = {
        "command": list(workload.command),
        "args": list(workload.arguments),
        "env": _database_environment(app),
        "volumeMounts": mounts,
    }
    return container | {key: value for key, value in optional.items() if value}


def _environment_sources(app: App) -> list[Manifest]:
    sources: list[Manifest] = [{"configMapRef": {"name": app.names.app}}]
    if app.writes_config and app.args.workload.config_environment:
        sources.append({"secretRef": {"name": CONFIG_OBJECT}})
    return sources


def _database_environment(app: App) -> list[Manifest]:
    """Take user, password and URL from the short-lived credentials and from nowhere else (CHART-06, APP-30)."""
    if not app.args.has_database:
        return []
    variables = app.args.database.variables
    keys = {"username": variables.username, "password": variables.password, "url": variables.url}
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": CREDENTIALS_OBJECT, "key": key}}}
        for key, name in keys.items()
        if name is not None
    ]


def _probe(app: App, path: str | None) -> Manifest:
    probes = app.args.workload.probes
    check: Manifest = (
        {"tcpSocket": {"port": _PORT_NAME}} if path is None else {"httpGet": {"path": path, "port": _PORT_NAME}}
    )
    return check | {"initialDelaySeconds": probes.initial_delay, "periodSeconds": probes.period}


def service(app: App) -> Manifest:
    """Give the pods one address inside the cluster (CHART-01, WEBAPP-22)."""
    workload = app.args.workload
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(app, app.names.app),
        "spec": {
            "type": "ClusterIP",
            "selector": _selector(app),
            "ports": [
                {
                    "name": _PORT_NAME,
                    "port": workload.service_port or workload.port,
                    "targetPort": _PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }


def ingresses(app: App) -> tuple[Manifest, ...]:
    """Serve the application, once per exposure class, with what the class prescribes (CHART-20 to CHART-27)."""
    found = []
    for kind, exposure in app.exposure.items():
        annotations = {
            f"{_TRAEFIK}.entrypoints": exposure.entry_point,
            f"{_TRAEFIK}.middlewares": ",".join(exposure.middlewares),
        }
        spec: Manifest = {
            "ingressClassName": exposure.ingress_class,
            "rules": [_ingress_rule(app, host) for host in app.hosts[kind]],
        }
        if exposure.tls:
            annotations[f"{_TRAEFIK}.tls"] = "true"
        if exposure.certificate_resolver is not None:
            annotations[f"{_TRAEFIK}.tls.certresolver"] = exposure.certificate_resolver
        if exposure.issuer is not None:
            annotations |= {
                "cert-manager.io/issuer": exposure.issuer,
                "cert-manager.io/issuer-kind": "StepClusterIssuer",
                "cert-manager.io/issuer-group": "certmanager.step.sm",
            }
            spec["tls"] = [{"hosts": list(app.hosts[kind]), "secretName": f"{app.names.app}-{kind}-tls"}]
        found.append(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {**metadata(app, f"{app.names.app}-{kind}"), "annotations": annotations},
                "spec": spec,
            }
        )
    return tuple(found)


def _ingress_rule(app: App, host: str) -> Manifest:
    backend = {"service": {"name": app.names.app, "port": {"name": _PORT_NAME}}}
    return {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}


def autoscaler(app: App) -> Manifest | None:
    """Scale by CPU, where the declaration asks for it (CHART-01, WEBAPP-25)."""
    scaling = app.args.workload.autoscaling
    if scaling is None:
        return None
    target = {"type": "Utilization", "averageUtilization": scaling.cpu_percent}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(app, app.names.app),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app.names.app},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
