"""Vault: mounts and logins (PLAT-07)."""

from .args import VaultFoundationArgs, VaultMounts
from .component import VaultFoundation

__all__ = ["VaultFoundation", "VaultFoundationArgs", "VaultMounts"]
