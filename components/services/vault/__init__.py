"""Vault: mounts and logins (PLAT-07)."""

from typing import TYPE_CHECKING

from ...exports import on_demand
from .args import VaultFoundationArgs, VaultMounts

if TYPE_CHECKING:
    from .component import VaultFoundation
else:
    __getattr__ = on_demand(__name__, {"VaultFoundation": "component"})

__all__ = ["VaultFoundation", "VaultFoundationArgs", "VaultMounts"]
