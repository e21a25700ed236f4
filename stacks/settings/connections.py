"""How to reach the backends: the connection sections of a stack file. Passwords and tokens are not among them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from components.model import HostName, HttpUrl, Model, Port, Seconds, about

__all__ = ["CREDENTIALS", "KubernetesConnection", "OperatorFile", "PostgresConnection", "VaultConnection"]

CREDENTIALS = {
    "vault": {"vault_token": "a Vault token of the operator"},
    "postgres": {"postgres_password": "the password of `postgres.username`"},
    "proxmox": {"proxmox_token": "the secret of `proxmox.token_id`, which writes notes"},
    "traefik_gateway": {"proxmox_reader_token": "the secret of `traefik_gateway.plugin.token_id`, which reads them"},
    "longhorn": {
        "longhorn_backup_key_id": "the access key of `longhorn.backup_target`",
        "longhorn_backup_key": "the secret of that key",
    },
}
"""For each connection which needs some: their keys below `factory:credentials`, and what they are.

They are never taken from the environment: VAULT_TOKEN or PGPASSWORD of another site would be used in silence (POL-33).
"""

OperatorFile = Annotated[str, StringConstraints(pattern=r"^(~/|[^~\x00\n])[^\x00\n]*$")]
"""A file of the operator: absolute, below the home directory by ``~/``, or below the checkout (`operator_file`)."""


class KubernetesConnection(Model):
    """The cluster: one context of a kubeconfig file. The current context is never used (POL-11, SBX-16)."""

    kubeconfig: OperatorFile = Field(
        description="Path of the kubeconfig file: absolute, from `~/`, or from the checkout. Only the named context is "
        "handed over.",
        json_schema_extra=about("POL-11, SBX-16", unit="path"),
    )
    context: str = Field(
        description="The context to use.", min_length=1, json_schema_extra=about("POL-11, SBX-16", unit="name")
    )


class VaultConnection(Model):
    """The Vault server."""

    address: HttpUrl = Field(
        description="Address of the server, for example `https://vault.example.test`.",
        json_schema_extra=about("VAULT-06, POL-03", unit="URL"),
    )
    ca_cert_file: OperatorFile | None = Field(
        default=None,
        description="PEM file of the authority that signed the server's certificate: absolute, from `~/`, or from the "
        "checkout; absent means the system's trust.",
        json_schema_extra=about("GITEA-10", unit="path"),
    )
    skip_child_token: bool = Field(
        default=False,
        description="Use the token itself instead of a child of it that ends with the run. Only for a token that may "
        "not create children.",
        json_schema_extra=about("VAULT-06"),
    )
    max_lease_ttl_seconds: Seconds = Field(
        default=1200,
        description="Longest life of the child token of one run.",
        json_schema_extra=about("VAULT-74", unit="seconds"),
    )


class PostgresConnection(Model):
    """The PostgreSQL server, reached directly; applications go through the pooler (PG-13)."""

    host: HostName = Field(
        description="Name or address of the server.", json_schema_extra=about("PG-12, POL-02", unit="host")
    )
    port: Port = Field(default=5432, description="TCP port.", json_schema_extra=about("PG-15", unit="port"))
    username: str = Field(
        description="The superuser that creates databases and roles.",
        min_length=1,
        json_schema_extra=about("PG-12, PG-30", unit="role"),
    )
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        default="verify-full", description="How far the server is checked (libpq).", json_schema_extra=about("PG-30")
    )
    sslrootcert: OperatorFile | None = Field(
        default=None,
        description="PEM file of the authority that signed the server's certificate: absolute, from `~/`, or from the "
        "checkout.",
        json_schema_extra=about("PG-30", unit="path"),
    )
    connect_timeout_seconds: Seconds = Field(
        default=10, description="How long to wait for the server.", json_schema_extra=about("PG-25", unit="seconds")
    )
