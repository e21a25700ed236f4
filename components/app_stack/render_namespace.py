"""The ground on which a workload stands: namespace, limits, network, identity, volumes and secrets, as manifests."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from .app import App

__all__ = [
    "CA_OBJECT",
    "CONFIG_OBJECT",
    "CREDENTIALS_OBJECT",
    "claims",
    "labels",
    "limit_range",
    "metadata",
    "namespace",
    "network_policies",
    "resource_quota",
    "service_account",
    "vault_authority",
    "vault_objects",
]

Manifest = dict[str, Any]

CREDENTIALS_OBJECT: Final = "vso-db-credentials"
"""The Secret with the short-lived credentials (CHART-06, CHART-11)."""
CONFIG_OBJECT: Final = "secretkv"
"""The Secret with the application's configuration (CHART-07, CHART-12)."""
CA_OBJECT: Final = "vault-ca"
"""The Secret with the certificate authority of Vault, where the operator looks for it."""
_VAULT_CONNECTION: Final = "vault"
_VAULT_AUTH: Final = "auth"
_OPERATOR_API: Final = "secrets.hashicorp.com/v1beta1"


def labels(app: App) -> dict[str, str]:
    """Label every object. Never with ``app.kubernetes.io/instance``: by that label ArgoCD would take it for its own."""
    return {"app.kubernetes.io/name": app.names.app, "app.kubernetes.io/managed-by": "pulumi"}


def metadata(app: App, name: str) -> Manifest:
    """Name an object of the application's namespace, and label it."""
    return {"name": name, "namespace": app.names.namespace, "labels": labels(app)}


def namespace(app: App) -> Manifest:
    """Enforce a Pod Security level (CHART-42). What is enforced is also what is warned of and audited."""
    level = {f"pod-security.kubernetes.io/{mode}": app.args.pod_security for mode in ("enforce", "audit", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": app.names.namespace, "labels": {**labels(app), **level}},
    }


def resource_quota(app: App) -> Manifest:
    """Limit the namespace as a whole (CHART-42)."""
    quota = app.args.quota
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata(app, app.names.app),
        "spec": {
            "hard": {
                "limits.cpu": quota.cpu_limit,
                "limits.memory": quota.memory_limit,
                "persistentvolumeclaims": str(quota.volumes),
                "pods": str(quota.pods),
            }
        },
    }


def limit_range(app: App) -> Manifest:
    """Give a container without limits the workload's (CHART-42)."""
    resources = app.args.workload.resources
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": metadata(app, app.names.app),
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "default": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
                    "defaultRequest": {"cpu": resources.cpu_request, "memory": resources.memory_request},
                }
            ]
        },
    }


def service_account(app: App) -> Manifest:
    """Identify the pods (CHART-03). The operator asks for its tokens; pods get one only on request (CHART-42)."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(app, app.names.service_account),
        "automountServiceAccountToken": app.args.workload.service_account_token,
    }


def network_policies(app: App) -> tuple[Manifest, Manifest]:
    """Deny everything, then allow what the application needs (CHART-41)."""
    allow: Manifest = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": _egress(app)}
    if ingress := _ingress(app):
        allow["ingress"] = ingress
    return (
        _network_policy(app, "default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        _network_policy(app, "allow", allow),
    )


def _network_policy(app: App, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(app, name),
        "spec": spec,
    }


def _peer(in_namespace: str, pods: dict[str, str]) -> Manifest:
    peer: Manifest = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": in_namespace}}}
    if pods:
        peer["podSelector"] = {"matchLabels": dict(pods)}
    return peer


def _ingress(app: App) -> list[Manifest]:
    network, port = app.platform.network, app.args.workload.port
    rules: list[Manifest] = []
    if app.args.exposure:
        rules.append({"from": [_peer(network.ingress_namespace, network.ingress_labels)], "ports": _tcp([port])})
    rules += [
        {"from": [_peer(pods.namespace, pods.labels)], "ports": _tcp(pods.ports or [port])} for pods in app.args.ingress
    ]
    return rules


def _tcp(ports: Iterable[int]) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _egress(app: App) -> list[Manifest]:
    network, pooler = app.platform.network, app.platform.postgres.pooler
    dns = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    rules: list[Manifest] = [{"to": [_peer(network.dns_namespace, network.dns_labels)], "ports": dns}]
    if app.args.has_database:
        place = _peer(pooler.namespace, {}) if pooler.namespace else {"ipBlock": {"cidr": pooler.cidr}}
        rules.append({"to": [place], "ports": _tcp([pooler.pod_port or pooler.port])})
    if app.args.workload.service_account_token and network.vault_namespace:
        rules.append({"to": [_peer(network.vault_namespace, {})], "ports": _tcp([8200])})
    rules += [
        {
            "to": [
                _peer(destination.pods.namespace, destination.pods.labels)
                if destination.pods
                else {"ipBlock": {"cidr": destination.cidr}}
            ],
            "ports": _tcp(destination.ports),
        }
        for destination in app.args.egress
    ]
    return rules


def claims(app: App) -> tuple[Manifest, ...]:
    """Claim the volumes, which neither Helm nor ArgoCD may delete (CHART-30, CHART-33)."""
    kept = {
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        "helm.sh/resource-policy": "keep",
    }
    return tuple(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {**metadata(app, app.claim_of(volume)), "annotations": kept},
            "spec": {
                "accessModes": [volume.access_mode],
                "storageClassName": volume.storage_class or app.platform.storage_class,
                "resources": {"requests": {"storage": volume.size}},
            },
        }
        for volume in app.args.volumes
    )


def vault_authority(app: App, ca_pem: str) -> Manifest:
    """Hold the certificate authority of Vault, where the operator looks for it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(app, CA_OBJECT),
        "stringData": {"ca.crt": ca_pem},
    }


def vault_objects(app: App) -> tuple[Manifest, ...]:
    """Let the operator bring the application's secrets from Vault (CHART-10 to CHART-14)."""
    if not app.args.uses_vault:
        return ()
    connection: Manifest = {"address": app.platform.vault.address, "skipTLSVerify": False}
    if app.platform.vault.ca_pem is not None:
        connection["caCertSecretRef"] = CA_OBJECT
    objects = [
        _operator_object(app, "VaultConnection", _VAULT_CONNECTION, connection),
        _operator_object(app, "VaultAuth", _VAULT_AUTH, _vault_auth(app)),
    ]
    if app.writes_config:
        objects.append(_operator_object(app, "VaultStaticSecret", "config", _static_secret(app)))
    if app.args.has_database:
        objects.append(_operator_object(app, "VaultDynamicSecret", "database", _dynamic_secret(app)))
    return tuple(objects)


def _operator_object(app: App, kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": _OPERATOR_API, "kind": kind, "metadata": metadata(app, name), "spec": spec}


def _vault_auth(app: App) -> Manifest:
    return {
        "vaultConnectionRef": _VAULT_CONNECTION,
        "method": "kubernetes",
        "mount": app.platform.vault.mounts.kubernetes,
        "kubernetes": {
            "role": app.names.kubernetes_role,
            "serviceAccount": app.names.service_account,
            "audiences": [app.platform.vault.audience],
        },
    }


def _restart_targets(app: App) -> list[Manifest]:
    """Restart the pods when what they read at their start has changed (CHART-13)."""
    return [{"kind": "Deployment", "name": app.names.app}]


def _static_secret(app: App) -> Manifest:
    return {
        "vaultAuthRef": _VAULT_AUTH,
        "type": "kv-v2",
        "mount": app.platform.vault.mounts.kv2,
        "path": app.names.config_path,
        "destination": {"name": CONFIG_OBJECT, "create": True},
        "refreshAfter": app.args.vault.refresh_after,
        "rolloutRestartTargets": _restart_targets(app),
    }


def _dynamic_secret(app: App) -> Manifest:
    destination: Manifest = {"name": CREDENTIALS_OBJECT, "create": True}
    if app.args.database.variables.url is not None:
        destination["transformation"] = {"templates": {"url": {"name": "url", "text": _database_url(app)}}}
    return {
        "vaultAuthRef": _VAULT_AUTH,
        "mount": app.platform.vault.mounts.database,
        "path": f"creds/{app.names.database_role}",
        "destination": destination,
        "rolloutRestartTargets": _restart_targets(app),
    }


def _database_url(app: App) -> str:
    """Compose the URL from the short-lived credentials; the operator fills the template (WEBAPP-L01)."""
    pooler = app.platform.postgres.pooler
    user = "{{ .Secrets.username | urlquery }}:{{ .Secrets.password | urlquery }}"
    return f"postgres://{user}@{pooler.host}:{pooler.port}/{quote(app.names.database)}?sslmode={pooler.sslmode}"
