"""A stack file handed to the program as the engine does it, with stand-ins for what operator and sandbox add."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi.runtime
import yaml

from components.cm5_gateway import CM5GatewayArgs
from stacks.settings.needs import CM5_GATEWAY
from stacks.settings.program import Site, from_pulumi
from stacks.settings.yaml_file import read

__all__ = ["ENDPOINTS", "ROOT", "computed", "configure", "site_of", "write_endpoints", "write_kubeconfig"]

ROOT = Path(__file__).resolve().parents[2]

ENDPOINTS: dict[str, Any] = {
    "postgres": {
        "host": "127.0.0.1",
        "port": 15432,
        "username": "super",
        "password": "pg-secret",
        "sslmode": "disable",
    },
    "pooler": {"host": "127.0.0.1", "port": 16432, "auth_role": "pooler_auth", "auth_password": "pooler-secret"},
    "vault": {"address": "https://127.0.0.1:18200", "ca_cert_pem": "PEM OF VAULT\n", "root_token": "root-secret"},
    "kubernetes": {
        "server": "https://127.0.0.1:16443",
        "kubeconfig": "kubeconfig-secret",
        "context": "sandbox",
        "ca_cert_pem": "PEM OF KUBERNETES\n",
    },
    "ssh": {
        "address": "127.0.0.1",
        "port": 12022,
        "user": "sandbox",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43,
        "identity_file": "/home/sandbox/client",
        "root": "/home/sandbox/host",
        "python": "python3",
    },
}
"""What a sandbox supervisor writes, with recognisable values."""


def computed(type_: str, name: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answer what a real cluster computes: the token of a ServiceAccount, and what a look at Longhorn shows."""
    if type_.endswith("/factory:LonghornDiagnosis"):
        return {"diagnosis": {"state": "none"}}
    is_token = type_ == "kubernetes:core/v1:Secret" and inputs.get("type") == "kubernetes.io/service-account-token"
    return {"data": {"token": base64.b64encode(f"token-of-{name}".encode()).decode()}} if is_token else {}


def write_endpoints(directory: Path, endpoints: Mapping[str, Any] = ENDPOINTS) -> dict[str, str]:
    """Write an endpoints file; returns the environment that points at it."""
    file = directory / "endpoints.json"
    file.write_text(json.dumps(endpoints))
    return {"FACTORY_ENDPOINTS": str(file)}


def write_kubeconfig(directory: Path, *contexts: str, server: str = "https://10.20.0.10:6443") -> Path:
    """Write a kubeconfig with these contexts, each with its own cluster and user."""
    file = directory / "kubeconfig"
    config = {
        "current-context": contexts[0],
        "contexts": [
            {"name": one, "context": {"cluster": f"{one}-cluster", "user": f"{one}-user"}} for one in contexts
        ],
        "clusters": [{"name": f"{one}-cluster", "cluster": {"server": server}} for one in contexts],
        "users": [{"name": f"{one}-user", "user": {"token": f"{one}-secret"}} for one in contexts],
    }
    file.write_text(yaml.safe_dump(config))
    return file


def configure(values: Mapping[str, Any], encrypted: Mapping[str, Any]) -> None:
    """Give the program its configuration: sections as JSON, words as they are, encrypted keys marked as such."""
    texts = {
        f"factory:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in {**values, **encrypted}.items()
    }
    pulumi.runtime.set_all_config(texts, [f"factory:{key}" for key in encrypted])


def site_of(stack: str, directory: Path, **changed: Any) -> Site:
    """Load a committed stack as the program does; `changed` replaces keys, None removes one. Call it under mocks."""
    values = {
        key: value for key, value in read(ROOT / f"Pulumi.{stack}.yaml").values.items() if key != "secrets"
    } | changed
    values = {key: value for key, value in values.items() if value is not None}
    if "kubernetes" in values:
        kubeconfig = write_kubeconfig(directory, values["kubernetes"]["context"])
        values["kubernetes"] = {**values["kubernetes"], "kubeconfig": str(kubeconfig)}
    wanted = {name: (app.get("vault") or {}).get("config_keys", []) for name, app in values.get("apps", {}).items()}
    encrypted = {
        "secrets": {name: {key: f"value-of-{name}-{key}" for key in keys} for name, keys in wanted.items() if keys},
        "credentials": {"vault_token": "token-secret", "postgres_password": "password-secret"}
        | {"proxmox_token": "notes-secret"}
        | dict.fromkeys(("longhorn_backup_key_id", "longhorn_backup_key"), "backup-secret"),
    }
    if gateway := values.get(CM5_GATEWAY):
        names = CM5GatewayArgs.model_validate(gateway).secrets
        encrypted["host_secrets"] = {CM5_GATEWAY: {name: f"value-of-{name}" for name in names}}
    configure(values, encrypted)
    return from_pulumi(write_endpoints(directory), ROOT)
