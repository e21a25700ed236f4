"""Which connections the sections of a stack need: no other is opened, and the credentials of no other are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.app_stack.args import AppStackArgs
    from components.cm5_gateway import CM5GatewayArgs
    from components.longhorn.args import LonghornArgs
    from components.services.vault.args import VaultFoundationArgs
    from components.traefik_gateway.args_gateway import TraefikGatewayArgs

__all__ = ["CM5_GATEWAY", "PROXMOX", "TRAEFIK_GATEWAY", "app_needs", "cm5_needs", "foundation_needs", "needs"]

CM5_GATEWAY = "cm5_gateway"
"""The gateway's section, and the name of its secrets among those of the machines; no machine can have it."""
TRAEFIK_GATEWAY = "traefik_gateway"
"""The same of the gateway that faces the Internet."""
PROXMOX = "proxmox"
"""The same of the guests whose containers are asked for; one login opens all of them."""


def needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which connections the declared sections need, each with the keys that need it."""
    found: dict[str, list[str]] = {}
    by_key = foundation_needs(valid) | gateway_needs(valid) | longhorn_needs(valid) | cm5_needs(valid)
    by_key |= {f"apps.{name}": app_needs(app) for name, app in valid.get("apps", {}).items()}
    for key, connections in by_key.items():
        for connection in connections:
            found.setdefault(connection, []).append(key)
    return found


def foundation_needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which connections each declared foundation needs."""
    found: dict[str, list[str]] = {}
    vault: VaultFoundationArgs | None = valid.get("vault_foundation")
    if vault is not None:
        # A Vault outside the cluster is given an identity in it, with which it has tokens reviewed.
        outside = vault.kubernetes is not None and vault.kubernetes.reviewer_namespace is not None
        found["vault_foundation"] = ["vault", *(["kubernetes"] if outside else [])]
    if valid.get("postgres_foundation") is not None:
        found["postgres_foundation"] = ["postgres"]
    return found


def gateway_needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which credentials the gateway and the notes need: each section has one of its own."""
    gateway: TraefikGatewayArgs | None = valid.get(TRAEFIK_GATEWAY)
    reads = gateway is not None and gateway.plugin is not None
    wanted = ((PROXMOX, valid.get(PROXMOX) is not None), (TRAEFIK_GATEWAY, reads))
    return {section: [section] for section, needed in wanted if needed}


def cm5_needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which connections the home-automation gateway needs: Vault, where that keeps its authority."""
    args: CM5GatewayArgs | None = valid.get(CM5_GATEWAY)
    in_vault = args is not None and args.local_ca is not None and args.local_ca.in_vault
    return {CM5_GATEWAY: ["vault"]} if in_vault else {}


def longhorn_needs(valid: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which connections the storage needs; its own are the keys of the store that backups go to."""
    args: LonghornArgs | None = valid.get("longhorn")
    if args is None:
        return {}
    target = args.backup_target
    return {"longhorn": ["kubernetes", *(["longhorn"] if target and target.needs_keys else [])]}


def app_needs(app: AppStackArgs) -> list[str]:
    """Which connections one application needs."""
    wanted = (("postgres", app.has_database), ("vault", app.uses_vault), ("kubernetes", app.has_workload))
    return [connection for connection, needed in wanted if needed]
