"""What is on the backends, by name: an object that no stack knows of shows up here."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import httpx

from sandbox.endpoints import Endpoints
from tests.support.identities import VaultIdentity, cluster_client, operator, superuser

_NAMESPACED = (
    "api/v1/configmaps",
    "api/v1/persistentvolumeclaims",
    "api/v1/serviceaccounts",
    "api/v1/services",
    "apis/apps/v1/deployments",
    "apis/networking.k8s.io/v1/ingresses",
    "apis/networking.k8s.io/v1/networkpolicies",
    "apis/argoproj.io/v1alpha1/applications",
    "apis/argoproj.io/v1alpha1/appprojects",
    "apis/secrets.hashicorp.com/v1beta1/vaultauths",
    "apis/secrets.hashicorp.com/v1beta1/vaultconnections",
    "apis/secrets.hashicorp.com/v1beta1/vaultdynamicsecrets",
    "apis/secrets.hashicorp.com/v1beta1/vaultstaticsecrets",
)


def inventory(endpoints: Endpoints) -> dict[str, list[str]]:
    """List databases, roles, Vault objects and Kubernetes objects."""
    root = operator(endpoints)
    with closing(root.http):
        return _postgres(endpoints) | _vault(root) | _kubernetes(endpoints)


def _postgres(endpoints: Endpoints) -> dict[str, list[str]]:
    with superuser(endpoints) as connection:
        databases = [str(row[0]) for row in connection.execute("SELECT datname FROM pg_database ORDER BY 1")]
        roles = [str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles ORDER BY 1")]
    # Logins that Vault hands out come and go by themselves.
    return {"databases": databases, "roles": [role for role in roles if not role.startswith("v-")]}


def _vault(root: VaultIdentity) -> dict[str, list[str]]:
    mounts, logins = root.read("sys/mounts")["data"], root.read("sys/auth")["data"]
    listed = {"mounts": sorted(mounts), "logins": sorted(logins), "policies": _keys(root, "sys/policies/acl")}
    for path, mount in mounts.items():
        if mount["type"] == "database":
            listed |= {f"{path}config": _keys(root, f"{path}config"), f"{path}roles": _keys(root, f"{path}roles")}
        if mount["type"] == "kv" and (mount["options"] or {}).get("version") == "2":
            listed[path] = [
                f"{folder}{key}"
                for folder in _keys(root, f"{path}metadata")
                for key in _keys(root, f"{path}metadata/{folder}")
                # A deleted value keeps its metadata, so that it can be brought back.
                if root.request("GET", f"{path}data/{folder}{key}").is_success
            ]
    for path in logins:
        listed[f"auth/{path}role"] = _keys(root, f"auth/{path}role")
    return listed


def _keys(root: VaultIdentity, path: str) -> list[str]:
    answer = root.request("LIST", path)
    return sorted(answer.json()["data"]["keys"]) if answer.is_success else []


def _kubernetes(endpoints: Endpoints) -> dict[str, list[str]]:
    with cluster_client(endpoints) as client:
        listed = {"namespaces": sorted(_name(item) for item in _items(client, "api/v1/namespaces"))}
        for kind in _NAMESPACED:
            listed[kind] = sorted(f"{item['metadata']['namespace']}/{_name(item)}" for item in _items(client, kind))
    return listed


def _items(client: httpx.Client, kind: str) -> list[dict[str, Any]]:
    answer = client.get(f"/{kind}")
    while answer.status_code == httpx.codes.TOO_MANY_REQUESTS:  # a fresh server still fills its cache of this kind
        time.sleep(float(answer.headers.get("Retry-After", "1")))
        answer = client.get(f"/{kind}")
    items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    # A namespace needs some seconds to go after the engine was told that it will.
    return [item for item in items if "deletionTimestamp" not in item["metadata"]]


def _name(item: dict[str, Any]) -> str:
    return str(item["metadata"]["name"])
