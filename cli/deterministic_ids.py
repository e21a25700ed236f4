"""The id an object gets is decided by its inputs; a create of which nobody saw the end can so be looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Inputs = Mapping[str, Any]


def _database_part(kind: str) -> Callable[[Inputs], str]:
    return lambda inputs: f"{inputs['backend']}/{kind}/{inputs['name']}"


_VAULT: dict[str, Callable[[Inputs], str]] = {
    "vault:index/mount:Mount": lambda inputs: inputs["path"],
    "vault:index/policy:Policy": lambda inputs: inputs["name"],
    "vault:index/authBackend:AuthBackend": lambda inputs: inputs.get("path") or inputs["type"],
    "vault:jwt/authBackend:AuthBackend": lambda inputs: inputs.get("path") or "jwt",
    "vault:jwt/authBackendRole:AuthBackendRole": lambda inputs: f"auth/{inputs['backend']}/role/{inputs['roleName']}",
    "vault:kubernetes/authBackendConfig:AuthBackendConfig": lambda inputs: f"auth/{inputs['backend']}/config",
    "vault:kubernetes/authBackendRole:AuthBackendRole": lambda inputs: (
        f"auth/{inputs['backend']}/role/{inputs['roleName']}"
    ),
    "vault:database/secretBackendConnection:SecretBackendConnection": _database_part("config"),
    "vault:database/secretBackendRole:SecretBackendRole": _database_part("roles"),
    "vault:kv/secretV2:SecretV2": lambda inputs: f"{inputs['mount']}/data/{inputs['name']}",
}

_POSTGRESQL: dict[str, Callable[[Inputs], str]] = {
    "postgresql:index/role:Role": lambda inputs: inputs["name"],
    "postgresql:index/database:Database": lambda inputs: inputs["name"],
}


def deterministic_id(resource_type: str, inputs: Inputs) -> str | None:
    """Return the id that the provider gives an object made of these inputs.

    None means that nothing has to be looked up: the create either has no effect outside the state, or creating the
    object again is the same as creating it once (grants, for instance).
    """
    if resource_type.startswith("kubernetes:"):
        metadata = inputs.get("metadata", {})
        name, namespace = metadata.get("name"), metadata.get("namespace")
        return f"{namespace}/{name}" if namespace and name else name
    rule = (_VAULT | _POSTGRESQL).get(resource_type)
    try:
        return rule(inputs) if rule else None
    except KeyError:
        return None
