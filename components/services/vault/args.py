"""What Vault has once per site (VAULT-01 to VAULT-05)."""

from typing import Self

from pydantic import Field, model_validator

from ...model import DnsLabel, HttpUrl, Model, Seconds, VaultPath, about

__all__ = ["JwtLoginArgs", "KubernetesLoginArgs", "VaultFoundationArgs", "VaultMounts"]


class VaultMounts(Model):
    """Where Vault's engines and logins are mounted; the foundation and every application agree on it."""

    kv2: VaultPath = Field(
        default="kvv2", description="Applications' secrets, KV version 2.", json_schema_extra=about("VAULT-01")
    )
    kv1: VaultPath = Field(
        default="kvv1", description="Administrators' secrets, KV version 1.", json_schema_extra=about("VAULT-02")
    )
    database: VaultPath = Field(
        default="postgres", description="Short-lived database users.", json_schema_extra=about("VAULT-01")
    )
    transit: VaultPath = Field(
        default="transit", description="Encryption of the operator's cache.", json_schema_extra=about("VAULT-01")
    )
    kubernetes: VaultPath = Field(
        default="kubernetes", description="Login of pods.", json_schema_extra=about("VAULT-01")
    )
    jwt: VaultPath = Field(default="gitea_jwt", description="Login of CI.", json_schema_extra=about("VAULT-02"))

    @model_validator(mode="after")
    def _mounts_are_distinct(self) -> Self:
        engines = [self.kv2, self.kv1, self.database, self.transit]
        logins = [self.kubernetes, self.jwt]
        for paths in (engines, logins):
            if doubled := sorted({path for path in paths if paths.count(path) > 1}):
                message = f"mount {', '.join(doubled)} is used twice: give each its own path"
                raise ValueError(message)
        return self


class KubernetesLoginArgs(Model):
    """How Vault checks the tokens of pods."""

    host: HttpUrl = Field(
        description="The cluster's API server as Vault reaches it.", json_schema_extra=about("VAULT-01", unit="URL")
    )
    ca_pem: str | None = Field(
        default=None,
        description="Certificate authority of the API server; absent means that of Vault's own pod.",
        json_schema_extra=about("VAULT-01", unit="PEM"),
    )
    reviewer_namespace: DnsLabel | None = Field(
        default=None,
        description="Namespace of the ServiceAccount with which a Vault outside the cluster asks for token reviews; "
        "absent means that Vault runs in the cluster and uses its own.",
        json_schema_extra=about("VAULT-01"),
    )


class JwtLoginArgs(Model):
    """How Vault checks the tokens of CI: by the forge's discovery document or by given keys."""

    discovery_url: HttpUrl | None = Field(
        default=None, description="OpenID Connect issuer.", json_schema_extra=about("VAULT-02", unit="URL")
    )
    discovery_ca_pem: str | None = Field(
        default=None,
        description="Certificate authority of the issuer.",
        json_schema_extra=about("VAULT-02", unit="PEM"),
    )
    public_keys: tuple[str, ...] = Field(
        default=(), description="Public keys that sign tokens.", json_schema_extra=about("VAULT-02", unit="PEM")
    )
    issuer: str | None = Field(
        default=None,
        min_length=1,
        description="Issuer which a token must name. Required with `public_keys`.",
        json_schema_extra=about("VAULT-02", unit="URL"),
    )

    @model_validator(mode="after")
    def _keys_have_one_source(self) -> Self:
        if (self.discovery_url is None) == (not self.public_keys):
            raise ValueError("give exactly one of discovery_url and public_keys")
        if self.public_keys and self.issuer is None:
            raise ValueError("public_keys needs issuer: a token of another issuer must be refused")
        return self


class VaultFoundationArgs(Model):
    """The mounts and logins which exist before any application (PLAT-07)."""

    kv1: bool = Field(
        default=True,
        description="Mount the administrators' secrets (KV version 1) too.",
        json_schema_extra=about("VAULT-02"),
    )
    kubernetes: KubernetesLoginArgs | None = Field(
        default=None,
        description="Login of pods; absent means it is not managed here.",
        json_schema_extra=about("VAULT-01"),
    )
    jwt: JwtLoginArgs | None = Field(
        default=None,
        description="Login of CI; absent means it is not managed here.",
        json_schema_extra=about("VAULT-02"),
    )
    default_lease_ttl: Seconds = Field(
        default=3600,
        description="Life of a lease of the database engine unless a role says otherwise.",
        json_schema_extra=about("VAULT-74", unit="seconds"),
    )
    max_lease_ttl: Seconds = Field(
        default=86400, description="Longest life of such a lease.", json_schema_extra=about("VAULT-74", unit="seconds")
    )
