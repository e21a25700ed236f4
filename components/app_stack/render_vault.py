"""What an application may do in Vault: policies as text, logins as values."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from .app import App

__all__ = ["Rule", "acl_path", "bound_claims", "ops_rules", "policy_text", "runtime_rules", "service_accounts"]

Capability = Literal["create", "delete", "list", "patch", "read", "update"]
_PATH: Final = re.compile(r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*(/\*)?$")


@dataclass(frozen=True, slots=True)
class Rule:
    """Capabilities on one path, never ``sudo``. A glob stands only at the end, right behind a slash (VAULT-72)."""

    path: str
    capabilities: tuple[Capability, ...]

    def __post_init__(self) -> None:
        """Refuse a path that reaches further than it reads."""
        if not _PATH.fullmatch(self.path):
            message = f"policy path {self.path!r}: a '*' stands only at the end, right behind a '/' (VAULT-72)"
            raise ValueError(message)


def acl_path(mount: str, version: Literal[1, 2], name: str) -> str:
    """Render the policy path of a secret: only version 2 has the segment ``data`` (VAULT-65)."""
    return f"{mount}/data/{name}" if version == 2 else f"{mount}/{name}"  # noqa: PLR2004 - the engine's version


def runtime_rules(app: App) -> tuple[Rule, ...]:
    """Let the pod read its own secrets and nothing else (VAULT-12, VAULT-61)."""
    mounts = app.platform.vault.mounts
    rules = [Rule(acl_path(mounts.kv2, 2, f"{app.names.kv_prefix}*"), ("read",))]
    if app.args.has_database:
        rules.append(Rule(f"{mounts.database}/creds/{app.names.database_role}", ("read",)))
    return tuple(rules)


def ops_rules(app: App) -> tuple[Rule, ...]:
    """Let the application's CI write the application's own secrets (VAULT-70).

    Roles are written by this program alone: whoever writes a role chooses its policies or its SQL. The configuration
    secret has this program as its one writer, so CI reads it.
    """
    mount = app.platform.vault.mounts.kv2
    rules = [Rule(acl_path(mount, 2, f"{app.names.kv_prefix}*"), ("create", "delete", "patch", "read", "update"))]
    if app.writes_config:
        rules.append(Rule(acl_path(mount, 2, app.names.config_path), ("read",)))
    return tuple(rules)


def policy_text(rules: Iterable[Rule]) -> str:
    """Write rules in Vault's policy language."""
    blocks = []
    for rule in rules:
        capabilities = ", ".join(f'"{capability}"' for capability in rule.capabilities)
        blocks.append(f'path "{rule.path}" {{\n  capabilities = [{capabilities}]\n}}\n')
    return "\n".join(blocks)


def bound_claims(app: App) -> dict[str, str]:
    """Name the claims with which a CI token proves its repository (VAULT-71)."""
    values = {"app": app.names.app, "org": app.names.organization, "repository": app.names.repository}
    return {claim: template.format_map(values) for claim, template in app.platform.vault.jwt.bound_claims.items()}


def service_accounts(app: App) -> tuple[list[str], list[str]]:
    """List the ServiceAccounts and the namespaces which may take the runtime policy (VAULT-14, VAULT-22)."""
    own = app.owns_namespace
    names = {*app.args.vault.service_account_names, *([app.names.service_account] if own else [])}
    namespaces = {*app.args.vault.service_account_namespaces, *([app.names.namespace] if own else [])}
    return sorted(names), sorted(namespaces)
