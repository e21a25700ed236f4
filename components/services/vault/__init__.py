"""Vault: mounts and logins (PLAT-07)."""
