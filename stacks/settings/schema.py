"""The typed configuration of one stack.

Its sections are the components' own argument models, so nothing is said twice. A stack has few of them, so a model is
imported when its section is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, create_model

from components.model import DnsLabel, Model, about

from .connections import KubernetesConnection, PostgresConnection, VaultConnection
from .guards import Environment, Fingerprints

if TYPE_CHECKING:
    from components.app_stack.args import AppStackArgs
    from components.app_stack.platform import PlatformArgs
    from components.cm5_gateway.args import CM5GatewayArgs
    from components.host.machine_args import MachineArgs
    from components.longhorn.args import LonghornArgs
    from components.services.postgres.args import PostgresFoundationArgs
    from components.services.vault.args import VaultFoundationArgs
    from components.traefik_gateway.args_gateway import TraefikGatewayArgs
    from components.traefik_gateway.args_notes import ProxmoxNotesArgs

__all__ = ["ENCRYPTED_SECTIONS", "SandboxArgs", "Settings", "alone", "complete"]

_ORIGINS: Final = {
    "AppStackArgs": "components.app_stack.args",
    "CM5GatewayArgs": "components.cm5_gateway.args",
    "LonghornArgs": "components.longhorn.args",
    "MachineArgs": "components.host.machine_args",
    "PlatformArgs": "components.app_stack.platform",
    "PostgresFoundationArgs": "components.services.postgres.args",
    "ProxmoxNotesArgs": "components.traefik_gateway.args_notes",
    "TraefikGatewayArgs": "components.traefik_gateway.args_gateway",
    "VaultFoundationArgs": "components.services.vault.args",
}
"""The module of each model that `Settings` names."""
ENCRYPTED_SECTIONS = ("secrets", "credentials", "editor_passwords", "host_secrets")
"""The only keys whose values stand encrypted in a stack file."""

_SET: Final = "`./factory pulumi STACK -- config set --secret --path"

BackendUrl = Annotated[str, StringConstraints(pattern=r"^(gs|s3|azblob|file|https)://\S+$")]


class SandboxArgs(Model):
    """What a sandbox must say that production does not (section 16.8)."""

    mode: Literal["k3d", "vms"] | None = Field(
        default=None,
        description="Kind of remote sandbox: one node in containers, or three machines. Absent if embedded.",
        json_schema_extra=about("SBX-05, SBX-06"),
    )
    state_url: BackendUrl | None = Field(
        default=None,
        description="Backend of the sandbox's state, with the word `sandbox` in it. Required unless embedded.",
        json_schema_extra=about("POL-10, SBX-08, STATE-04", unit="URL"),
    )
    target_revision: str = Field(
        description="Branch or tag of the applications' repositories that this sandbox follows; never production's.",
        min_length=1,
        json_schema_extra=about("SBX-07", unit="revision"),
    )
    throwaway_zones: tuple[str, ...] = Field(
        default=(),
        description="DNS zones the sandbox may plan records for.",
        json_schema_extra=about("SBX-11, POL-06", unit="zone"),
    )
    backup_target: str | None = Field(
        default=None,
        description="Where drills put backups; never production's bucket.",
        json_schema_extra=about("SBX-15, POL-09", unit="URL"),
    )


class Settings(Model):
    """One stack. An absent section builds nothing and needs no credential, plugin or import.

    `load` makes one, from what `alone` has validated. Only `complete` knows all of its fields' types.
    """

    environment: Environment = Field(
        description="What this stack is. All behaviour keys on it, never on the stack's name; without it nothing runs.",
        json_schema_extra=about("POL-30"),
    )
    backends: Literal["embedded"] | None = Field(
        default=None,
        description="`embedded`: connections, and how applications reach the backends, come from the running sandbox "
        "(`./factory sandbox start`). What is written wins over them.",
        json_schema_extra=about("SBX-04"),
    )
    unseal_keys_path: str | None = Field(
        default=None,
        description="Vault's unseal keys on the operator's machine; `/sandbox/` stands in it exactly in a sandbox.",
        json_schema_extra=about("POL-12, VAULT-76", unit="path"),
    )
    i_mean_prod: bool = Field(
        default=False,
        description="Admit addresses of production in a sandbox, but never for connections, state, DNS and mail.",
        json_schema_extra=about("SBX-10, POL-01"),
    )
    kubernetes: KubernetesConnection | None = Field(
        default=None, description="The cluster.", json_schema_extra=about("POL-11")
    )
    vault: VaultConnection | None = Field(
        default=None, description="Vault, as this program reaches it.", json_schema_extra=about("VAULT-06")
    )
    postgres: PostgresConnection | None = Field(
        default=None, description="PostgreSQL, as this program reaches it.", json_schema_extra=about("PG-12")
    )
    platform: PlatformArgs | None = Field(
        default=None, description="What all applications share.", json_schema_extra=about("section 1")
    )
    vault_foundation: VaultFoundationArgs | None = Field(
        default=None, description="Vault's mounts and logins.", json_schema_extra=about("PLAT-07")
    )
    postgres_foundation: PostgresFoundationArgs | None = Field(
        default=None, description="PostgreSQL's shared roles.", json_schema_extra=about("PLAT-07, PG-14")
    )
    apps: dict[str, AppStackArgs] = Field(
        default={}, description="The applications, each under its name.", json_schema_extra=about("APP-01, NAME-01")
    )
    hosts: dict[DnsLabel, MachineArgs] = Field(
        default={}, description="The machines, each under its name.", json_schema_extra=about("section 3")
    )
    cm5_gateway: CM5GatewayArgs | None = Field(
        default=None, description="The home-automation gateway.", json_schema_extra=about("CM5-01, CM5-270")
    )
    traefik_gateway: TraefikGatewayArgs | None = Field(
        default=None, description="The gateway that faces the Internet.", json_schema_extra=about("TPX-256")
    )
    proxmox: ProxmoxNotesArgs | None = Field(
        default=None,
        description="The guests whose notes hold the gateway's routes.",
        json_schema_extra=about("TPX-254"),
    )
    longhorn: LonghornArgs | None = Field(
        default=None,
        description="What is declared on top of the cluster's Longhorn: storage, backups, looks at its health.",
        json_schema_extra=about("LHR-140, NFS-02, BKP-010"),
    )
    secrets: dict[str, frozenset[str]] = Field(
        default={},
        description="Encrypted values of `<app>/config`, by application and key: exactly its `vault.config_keys`. "
        f"Set one with {_SET} secrets.APP.KEY`.",
        json_schema_extra=about("VAULT-24, VAULT-75"),
    )
    credentials: frozenset[str] = Field(
        default=frozenset(),
        description="Encrypted credentials of the connections: `vault_token`, `postgres_password`, `proxmox_token`, "
        "`proxmox_reader_token`, `longhorn_backup_key_id`, `longhorn_backup_key`. Set one with "
        f"{_SET} credentials.NAME`.",
        json_schema_extra=about("POL-33"),
    )
    editor_passwords: frozenset[str] = Field(
        default=frozenset(),
        description="Encrypted passwords of editor roles that existed before this program, by application; they are "
        "never changed. Otherwise one is generated. Set one with "
        f"{_SET} editor_passwords.APP`.",
        json_schema_extra=about("PG-10, PG-33"),
    )
    host_secrets: dict[str, frozenset[str]] = Field(
        default={},
        description="Encrypted secrets of the machines, by machine and name: `sudo_password`, `private_key` and "
        "`passphrase` open it, the others are named in its `contents`. The home-automation gateway's "
        "stand below `cm5_gateway`, under the names that its section uses; `traefik_gateway` opens the other gateway, "
        "`proxmox` all guests. Set one with "
        f"{_SET} host_secrets.HOST.NAME`.",
        json_schema_extra=about("section 3"),
    )
    fingerprints: Fingerprints = Field(
        default=Fingerprints(),
        description="What marks production. Required in production, read by every sandbox in the same directory.",
        json_schema_extra=about("section 16.4"),
    )
    sandbox: SandboxArgs | None = Field(
        default=None, description="Required in a sandbox.", json_schema_extra=about("section 16.8")
    )


@cache
def alone(key: str) -> type[Model]:
    """Return a model of one section alone, under its key."""
    annotation = Settings.__annotations__[key]
    fields: dict[str, Any] = {key: (annotation, Settings.model_fields[key])}
    model = create_model(Settings.__name__, __base__=Model, **fields)
    model.model_rebuild(_types_namespace=globals() | _models(name for name in _ORIGINS if name in annotation))
    return model


def complete() -> type[Settings]:
    """Return `Settings` with the models of all sections, for what describes or validates them as a whole."""
    Settings.model_rebuild(_types_namespace=_models(_ORIGINS))
    return Settings


def _models(names: Iterable[str]) -> dict[str, type[Model]]:
    return {name: getattr(import_module(_ORIGINS[name]), name) for name in names}
