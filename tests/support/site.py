"""A site out of documentation values, and the providers that a program of components needs."""

from __future__ import annotations

import pulumi
import pulumi_command
import pulumi_kubernetes
import pulumi_postgresql
import pulumi_vault

from components.app_stack import AppStackArgs, PlatformArgs

__all__ = ["DATABASE_ONLY", "application", "options", "platform"]

PLATFORM = {
    "organization": "example-org",
    "forge_url": "https://forge.example.test",
    "registry": "registry.example.test",
    "vault": {"address": "https://vault.example.test", "ca_pem": "-----BEGIN CERTIFICATE-----\nexample\n"},
    "postgres": {
        "host": "db.example.test",
        "pooler": {"host": "pooler.tools", "namespace": "tools"},
    },
    "exposure": {
        "internal": {
            "domain": "inside.example.test",
            "entry_point": "websecure",
            "middlewares": ["lan-only@file"],
            "tls": True,
            "certificate_resolver": "letsencrypt",
        },
        "public": {
            "domain": "example.test",
            "entry_point": "web",
            "middlewares": ["kube-system-waf@kubernetescrd"],
            "node_selector": {"kubernetes.io/hostname": "entry"},
        },
    },
    "storage_class": "replicated",
    "backup": {"directory": "/var/backups/factory"},
}

APPLICATION = {
    "delivery": "pulumi",
    "exposure": ["internal", "public"],
    "image": {"tag": "1.4.2"},
    "ci": {"oauth_client_id": "client-of-webapp"},
    "vault": {"config_keys": ["API_KEY"]},
    "workload": {"probes": {"liveness_path": "/liveness", "readiness_path": "/readiness"}},
}


DATABASE_ONLY: dict[str, object] = {
    "mode": "database-only",
    "delivery": "argocd",
    "exposure": [],
    "image": {},
    "ci": {},
    "workload": {},
}
"""What makes it a mere database: nothing that runs, nothing that a repository is for."""


def platform(**overrides: object) -> PlatformArgs:
    """Describe the site; a keyword replaces one of its sections."""
    return PlatformArgs.model_validate(PLATFORM | overrides)


def application(**overrides: object) -> AppStackArgs:
    """Declare an application that uses most of what there is; a keyword replaces one of its sections."""
    return AppStackArgs.model_validate(APPLICATION | overrides)


def options(**overrides: object) -> pulumi.ResourceOptions:
    """Make explicit providers, as a stack does with the default ones disabled."""
    return pulumi.ResourceOptions(
        providers=[
            pulumi_vault.Provider("vault", address="https://vault.example.test", token="example"),
            pulumi_postgresql.Provider("postgresql", host="db.example.test", username="admin", password="example"),
            pulumi_kubernetes.Provider("kubernetes", kubeconfig="{}"),
            pulumi_command.Provider("command"),
            pulumi.ProviderResource("pulumi-python", "python", {}),
        ],
        **overrides,  # type: ignore[arg-type]
    )
