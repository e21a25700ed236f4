"""The id an object gets is decided by its inputs, so an object can be looked up of which no state tells.

Two need it: the healing of a create that was interrupted, and the adoption of objects made by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Inputs = Mapping[str, Any]
Rule = Callable[[Inputs], str]

# Kinds of grants whose id leaves the schema out.
_WITHOUT_SCHEMA = ("database", "foreign_data_wrapper", "foreign_server")


def _database_part(kind: str) -> Rule:
    return lambda inputs: f"{inputs['backend']}/{kind}/{inputs['name']}"


def _login_role(inputs: Inputs) -> str:
    return f"auth/{inputs['backend']}/role/{inputs['roleName']}"


def _name(inputs: Inputs) -> str:
    return str(inputs["name"])


def _function(inputs: Inputs) -> str:
    types = ",".join(each["type"] for each in inputs.get("args", ()) if each.get("mode", "IN") != "OUT")
    return f"{inputs['database']}.{inputs.get('schema', 'public')}.{inputs['name']}({types})"


def _grant(inputs: Inputs) -> str:
    schema = [] if inputs["objectType"] in _WITHOUT_SCHEMA else [inputs["schema"]]
    parts = [inputs["role"], inputs["database"], *schema, inputs["objectType"]]
    return "_".join([*parts, *sorted(inputs.get("objects", ())), *sorted(inputs.get("columns", ()))])


def _membership(inputs: Inputs) -> str:
    option = str(bool(inputs.get("withAdminOption"))).lower()
    return f"{inputs['role']}_{inputs['grantRole']}_{option}"


_RULES: Mapping[str, Rule] = {
    "vault:index/mount:Mount": lambda inputs: inputs["path"],
    "vault:index/policy:Policy": _name,
    "vault:index/authBackend:AuthBackend": lambda inputs: inputs.get("path") or inputs["type"],
    "vault:jwt/authBackend:AuthBackend": lambda inputs: inputs.get("path") or "jwt",
    "vault:jwt/authBackendRole:AuthBackendRole": _login_role,
    "vault:kubernetes/authBackendConfig:AuthBackendConfig": lambda inputs: f"auth/{inputs['backend']}/config",
    "vault:kubernetes/authBackendRole:AuthBackendRole": _login_role,
    "vault:database/secretBackendConnection:SecretBackendConnection": _database_part("config"),
    "vault:database/secretBackendRole:SecretBackendRole": _database_part("roles"),
    "vault:kv/secretV2:SecretV2": lambda inputs: f"{inputs['mount']}/data/{inputs['name']}",
    "postgresql:index/role:Role": _name,
    "postgresql:index/database:Database": _name,
    "postgresql:index/function:Function": _function,
    "postgresql:index/grant:Grant": _grant,
    "postgresql:index/grantRole:GrantRole": _membership,
}

_PLACES: Mapping[str, Rule] = {
    "vault:identity/group:Group": lambda inputs: f"identity/group/name/{inputs['name']}",
}


def deterministic_id(resource_type: str, inputs: Inputs) -> str | None:
    """Return the id that the provider gives an object made of these inputs.

    None means that no id follows from the inputs: the create has no effect outside the state, or the backend draws the
    id (then see `place_of`).
    """
    if resource_type.startswith("kubernetes:"):
        metadata = inputs.get("metadata", {})
        name, namespace = metadata.get("name"), metadata.get("namespace")
        return f"{namespace}/{name}" if namespace and name else name
    return _apply(_RULES.get(resource_type), inputs)


def place_of(resource_type: str, inputs: Inputs) -> str | None:
    """Return the path in Vault at which an object's drawn `id` can be read; None for every other kind of object."""
    return _apply(_PLACES.get(resource_type), inputs)


def _apply(rule: Rule | None, inputs: Inputs) -> str | None:
    try:
        return rule(inputs) if rule else None
    except KeyError:
        return None
