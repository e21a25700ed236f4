"""The one composition of all stacks: each section that is present becomes a component, wired to what it waits for.

A section that is absent builds nothing, and neither its provider nor its component is imported.
"""

from __future__ import annotations

from typing import Any

import pulumi

from components.app_stack.args import AppStackArgs
from components.host.credentials import Credentials

from .providers import Providers
from .settings.needs import CM5_GATEWAY, PROXMOX, TRAEFIK_GATEWAY, app_needs, cm5_needs, foundation_needs
from .settings.program import Site

__all__ = ["build"]


def build(site: Site, *, protect: bool) -> dict[str, Any]:
    """Build every section of the site and return what the stack exports (section 3.3).

    `protect` refuses the deletion of the mounts that hold data; applications follow `platform.protect_data`.
    """
    settings = site.settings
    providers = Providers(site.access)
    exports: dict[str, Any] = {"environment": settings.environment}
    foundations: list[pulumi.Resource] = []
    needed = foundation_needs(dict(settings))
    if settings.postgres_foundation is not None:
        from components.services.postgres import PostgresFoundation  # noqa: PLC0415 - only if the section is present

        pooler = settings.platform.postgres.pooler.auth_role if settings.platform else None
        postgres = PostgresFoundation(
            "postgres",
            settings.postgres_foundation,
            **({"pooler_role": pooler} if pooler else {}),
            opts=pulumi.ResourceOptions(providers=providers.of([*needed["postgres_foundation"], "python"])),
        )
        foundations.extend(postgres.last)
        exports["pooler_role"] = postgres.pooler_role
        if postgres.pooler_password is not None:
            exports["pooler_password"] = postgres.pooler_password
    if settings.vault_foundation is not None:
        from components.services.vault import VaultFoundation  # noqa: PLC0415 - only if the section is present

        vault = VaultFoundation(
            "vault",
            settings.vault_foundation,
            mounts=settings.platform.vault.mounts if settings.platform else None,
            protect=protect,
            opts=pulumi.ResourceOptions(providers=providers.of(needed["vault_foundation"])),
        )
        foundations.extend(vault.last)
        exports["vault_mounts"] = vault.mounts
    if settings.apps and settings.platform is not None:
        from components.app_stack import AppStack  # noqa: PLC0415 - only if the section is present

        exports["apps"] = {
            name: AppStack(
                name,
                args,
                settings.platform,
                kv_config=site.secrets.get(name),
                editor_password=site.editor_passwords.get(name),
                opts=pulumi.ResourceOptions(
                    providers=providers.of(_packages(args)),
                    depends_on=foundations,
                ),
            ).outputs()
            for name, args in settings.apps.items()
        }
    if settings.hosts:
        from components.host.machine import Machine  # noqa: PLC0415 - only if the section is present

        exports["hosts"] = {
            name: Machine(
                name,
                args,
                secrets=site.host_secrets.get(name),
                opts=pulumi.ResourceOptions(providers=providers.of(["factory"])),
            ).roles
            for name, args in settings.hosts.items()
        }
    exports |= _cm5_gateway(site, providers, protect=protect)
    exports |= _gateway(site, providers)
    exports |= _longhorn(site, providers)
    return exports


def _cm5_gateway(site: Site, providers: Providers, *, protect: bool) -> dict[str, Any]:
    """Build the home-automation gateway."""
    args = site.settings.cm5_gateway
    if args is None:
        return {}
    from components.cm5_gateway import CM5Gateway  # noqa: PLC0415 - only if the section is present

    needed = cm5_needs(dict(site.settings)).get(CM5_GATEWAY, [])
    # The certificate of an authority on the device is read by a command; the registration is a dynamic resource.
    reads = args.local_ca is not None and not needed
    packages = ["factory", *needed, *(["command"] if reads else []), *(["python"] if args.registration else [])]
    built = CM5Gateway(
        "cm5",
        args,
        secrets=site.host_secrets.get(CM5_GATEWAY),
        protect=protect,
        opts=pulumi.ResourceOptions(providers=providers.of(packages)),
    )
    return {"cm5": built.outputs()}


def _gateway(site: Site, providers: Providers) -> dict[str, Any]:
    """Build the gateway with its notes, or the notes alone for a gateway that somebody else runs."""
    gateway, notes = site.settings.traefik_gateway, site.settings.proxmox
    writer = site.tokens.get("proxmox_token")
    machine, guests = (Credentials(**site.host_secrets.get(section, {})) for section in (TRAEFIK_GATEWAY, PROXMOX))
    if gateway is not None:
        from components.traefik_gateway.component import TraefikGateway  # noqa: PLC0415 - only if the section is present

        packages = ["factory", *(["python"] if notes else [])]
        built = TraefikGateway(
            "gateway",
            gateway,
            notes,
            reader_secret=site.tokens.get("proxmox_reader_token"),
            writer_secret=writer,
            credentials=machine,
            guest_credentials=guests,
            opts=pulumi.ResourceOptions(providers=providers.of(packages)),
        )
        return {"gateway": built.outputs()}
    if notes is not None and writer is not None:
        from components.traefik_gateway.provider import ProxmoxNotes  # noqa: PLC0415 - only if the section is present

        (python,) = providers.of(["python"])
        opts = pulumi.ResourceOptions(provider=python)
        alone = ProxmoxNotes("gateway-notes", notes, token_secret=writer, credentials=guests, opts=opts)
        return {"gateway": {"routes": alone.routes}}
    return {}


def _longhorn(site: Site, providers: Providers) -> dict[str, Any]:
    """Build what stands on top of the cluster's Longhorn."""
    args = site.settings.longhorn
    if args is None:
        return {}
    from components.longhorn import LonghornStorage  # noqa: PLC0415 - only if the section is present

    looks = args.object_backup is not None or args.diagnosis is not None
    built = LonghornStorage(
        "longhorn",
        args,
        access_key_id=site.tokens.get("longhorn_backup_key_id"),
        secret_access_key=site.tokens.get("longhorn_backup_key"),
        kubeconfig=providers.kubeconfig,
        opts=pulumi.ResourceOptions(providers=providers.of(["kubernetes", *(["python"] if looks else [])])),
    )
    return {"longhorn": built.outputs()}


def _packages(args: AppStackArgs) -> list[str]:
    """Which providers an application's resources have: its connections, and what serves passwords and backups."""
    backup = args.uses_vault and args.decommission
    return [*app_needs(args), *(["python"] if args.has_database else []), *(["command"] if backup else [])]
