"""Which resources hold the data of a declared section (PG-21, APP-39, CM5-275).

What is protected in a stack's state and not named here has left the stack's file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.app_stack.app import App
from components.app_stack.render_namespace import claims

from .schema import Settings

if TYPE_CHECKING:
    from components.cm5_gateway.args import CM5GatewayArgs
    from components.services.vault.args import VaultFoundationArgs

__all__ = ["kept_data"]


def kept_data(settings: Settings) -> dict[str, frozenset[str]]:
    """Return what holds data in each declared section, and in each application (`apps.NAME`), as `TYPE::NAME`.

    A section whose resources are never protected is not there.
    """
    found: dict[str, Iterator[str]] = {}
    if settings.vault_foundation is not None:
        found["vault_foundation"] = _mounts(settings.vault_foundation)
    if settings.platform is not None:
        found |= {
            f"apps.{name}": _application(App.of(name, app, settings.platform)) for name, app in settings.apps.items()
        }
    if settings.cm5_gateway is not None:
        found["cm5_gateway"] = _gateway(settings.cm5_gateway)
    return {section: frozenset(names) for section, names in found.items()}


def _mounts(args: VaultFoundationArgs) -> Iterator[str]:
    for engine in ("kv2", "transit", *(["kv1"] if args.kv1 else [])):
        yield f"vault:index/mount:Mount::vault-{engine}"


def _application(app: App) -> Iterator[str]:
    name = app.names.app
    if app.args.has_database:
        yield f"postgresql:index/role:Role::{name}-owner"
        yield f"postgresql:index/database:Database::{name}-database"
    if app.writes_config:
        yield f"vault:kv/secretV2:SecretV2::{name}-config"
    if app.owns_namespace:
        yield f"kubernetes:core/v1:Namespace::{name}"
        for claim in claims(app):
            yield f"kubernetes:core/v1:PersistentVolumeClaim::{claim['metadata']['name']}"


def _gateway(args: CM5GatewayArgs) -> Iterator[str]:
    role = "factory-host:index:HostState::cm5"
    if args.storage is not None:
        yield f"{role}.nvme"
        if args.storage.bind_mounts:
            yield f"{role}.data"
    if args.local_ca is not None:
        yield f"{role}.tls"
        if args.local_ca.in_vault:
            yield "vault:index/mount:Mount::cm5.authority.mount"
            yield "vault:pkiSecret/secretBackendRootCert:SecretBackendRootCert::cm5.authority.root"
