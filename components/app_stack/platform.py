"""What all applications of a site share: where its services are, what they are called.

Site values have no default.
"""

from collections.abc import Iterator
from string import Formatter
from typing import Literal, Self

from pydantic import Field, model_validator

from ..model import CidrBlock, DnsLabel, HostName, HttpUrl, Model, Port, Seconds, SqlName, about
from ..naming import DOCUMENTED, NamingStrategy
from ..services.vault.args import VaultMounts

__all__ = [
    "ArgoCdArgs",
    "BackupArgs",
    "ExposureClassArgs",
    "JwtArgs",
    "NetworkArgs",
    "PlatformArgs",
    "PoolerArgs",
    "PostgresAccessArgs",
    "VaultAccessArgs",
]

SslMode = Literal["disable", "require", "verify-ca", "verify-full"]


class JwtArgs(Model):
    """How a token of the forge's CI proves which repository it belongs to (VAULT-71)."""

    user_claim: str = Field(
        default="email", min_length=1, description="Claim that names the user.", json_schema_extra=about("VAULT-08")
    )
    bound_claims: dict[str, str] = Field(
        default={"repository": "{repository}"},
        min_length=1,
        description="Claims a token must carry; {app}, {org} and {repository} (org/app) stand for the application's.",
        json_schema_extra=about("VAULT-71"),
    )
    token_ttl: Seconds = Field(
        default=900, description="Life of a Vault token of CI.", json_schema_extra=about("VAULT-08", unit="seconds")
    )

    @model_validator(mode="after")
    def _claims_name_one_repository(self) -> Self:
        used = {place for claim in self.bound_claims.values() for place in _placeholders(claim)}
        if unknown := sorted(used - {"app", "org", "repository"}):
            named = ", ".join(f"{{{place}}}" for place in unknown)
            message = f"bound_claims: unknown placeholder {named}; use {{app}}, {{org}} and {{repository}}"
            raise ValueError(message)
        if not used & {"app", "repository"}:
            raise ValueError("bound_claims must tell repositories apart (VAULT-71): use {repository} or {app} in one")
        return self


def _placeholders(claim: str) -> Iterator[str]:
    """Yield what stands between braces, whole: a conversion or a format would bind to something else than the name."""
    for _, place, form, conversion in Formatter().parse(claim):
        if place is not None:
            yield f"{place}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"


class VaultAccessArgs(Model):
    """How the applications reach Vault."""

    address: HttpUrl = Field(
        description="Address as pods and the Vault Secrets Operator reach it.",
        json_schema_extra=about("section 1, VAULT-06", unit="URL"),
    )
    ca_pem: str | None = Field(
        default=None,
        description="Certificate authority of that address; absent means one that every system trusts.",
        json_schema_extra=about("GITEA-02", unit="PEM"),
    )
    mounts: VaultMounts = Field(
        default=VaultMounts(), description="Where Vault's engines are mounted.", json_schema_extra=about("VAULT-01")
    )
    audience: str = Field(
        default="vault",
        min_length=1,
        description="Audience of the ServiceAccount tokens presented to Vault.",
        json_schema_extra=about("VAULT-23"),
    )
    jwt: JwtArgs = Field(default=JwtArgs(), description="Login of CI.", json_schema_extra=about("VAULT-71"))


class PoolerArgs(Model):
    """The only way from an application to its database (PG-13)."""

    host: HostName = Field(description="Host as pods reach it.", json_schema_extra=about("PG-13, CHART-04"))
    port: Port = Field(default=5432, description="Port.", json_schema_extra=about("CHART-04", unit="port"))
    pod_port: Port | None = Field(
        default=None,
        description="Port of its pods, where the Service in front of them has another: what a network policy admits is "
        "the pod's. Default: `port`.",
        json_schema_extra=about("CHART-41", unit="port"),
    )
    sslmode: SslMode = Field(
        default="disable",
        description="TLS from the pod to the pooler, which is inside the cluster's network.",
        json_schema_extra=about("WEBAPP-C01"),
    )
    auth_role: SqlName = Field(
        default="pgbouncer_auth",
        description="Role with which the pooler asks for password hashes.",
        json_schema_extra=about("PG-07, PG-14"),
    )
    namespace: DnsLabel | None = Field(
        default=None,
        description="Namespace of the pooler's pods; give this or `cidr`.",
        json_schema_extra=about("CHART-41, VSO-07"),
    )
    cidr: CidrBlock | None = Field(
        default=None, description="Addresses of a pooler outside the cluster.", json_schema_extra=about("CHART-41")
    )

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.namespace is None) == (self.cidr is None):
            raise ValueError("give exactly one of namespace (pooler in the cluster) and cidr (pooler outside)")
        if self.pod_port is not None and self.namespace is None:
            raise ValueError("pod_port is that of pods: it needs namespace")
        return self


class PostgresAccessArgs(Model):
    """The database server as Vault reaches it, directly: editors never pass the pooler (PG-31)."""

    host: HostName = Field(description="Host.", json_schema_extra=about("PG-12"))
    port: Port = Field(default=5432, description="Port.", json_schema_extra=about("PG-12", unit="port"))
    sslmode: SslMode = Field(
        default="verify-full", description="TLS from Vault to the server.", json_schema_extra=about("PG-30")
    )
    ca_pem: str | None = Field(
        default=None, description="Certificate authority of the server.", json_schema_extra=about("PG-30", unit="PEM")
    )
    pooler: PoolerArgs = Field(description="Pooler.", json_schema_extra=about("PG-13"))
    password_length: int = Field(
        default=24,
        ge=16,
        le=128,
        description="Length of a generated password.",
        json_schema_extra=about("PG-10", unit="characters"),
    )


class ExposureClassArgs(Model):
    """One way to serve an application, for example inside the network or to the world (CHART-20 to CHART-27)."""

    domain: HostName = Field(description="Domain of the hosts.", json_schema_extra=about("NAME-16, NAME-17"))
    entry_point: str = Field(min_length=1, description="Traefik entry point.", json_schema_extra=about("CHART-20"))
    middlewares: tuple[str, ...] = Field(
        min_length=1,
        description="Traefik middlewares as `name@provider`. At least one: no host is served unguarded.",
        json_schema_extra=about("CHART-22, CHART-26"),
    )
    ingress_class: DnsLabel = Field(
        default="traefik", description="Ingress class.", json_schema_extra=about("CHART-20")
    )
    tls: bool = Field(
        default=False,
        description="Traefik ends TLS here; otherwise something before it does.",
        json_schema_extra=about("CHART-21"),
    )
    certificate_resolver: str | None = Field(
        default=None, description="Traefik's certificate resolver.", json_schema_extra=about("CHART-21")
    )
    issuer: str | None = Field(
        default=None,
        description="Instead of a resolver: name of the cert-manager StepClusterIssuer.",
        json_schema_extra=about("CHART-27, APPG-17"),
    )
    node_selector: dict[str, str] = Field(
        default={},
        description="Labels of the nodes for pods of this class, where elsewhere the client's address would be lost.",
        json_schema_extra=about("CHART-23, CHART-28"),
    )

    @model_validator(mode="after")
    def _certificate_has_one_source(self) -> Self:
        if self.certificate_resolver and self.issuer:
            raise ValueError("give certificate_resolver or issuer, not both (APPG-17)")
        if (self.certificate_resolver or self.issuer) and not self.tls:
            raise ValueError("certificate_resolver and issuer need tls: true")
        if self.tls and not (self.certificate_resolver or self.issuer):
            raise ValueError("tls needs certificate_resolver or issuer: name where the certificate comes from")
        return self


class NetworkArgs(Model):
    """Who may talk to the applications, and how they find others (CHART-41)."""

    ingress_namespace: DnsLabel = Field(
        default="kube-system", description="Namespace of Traefik's pods.", json_schema_extra=about("CHART-41")
    )
    ingress_labels: dict[str, str] = Field(
        default={"app.kubernetes.io/name": "traefik"},
        description="Labels of Traefik's pods.",
        json_schema_extra=about("CHART-41"),
    )
    dns_namespace: DnsLabel = Field(
        default="kube-system", description="Namespace of the cluster's DNS.", json_schema_extra=about("CHART-41")
    )
    dns_labels: dict[str, str] = Field(
        default={"k8s-app": "kube-dns"}, description="Labels of its pods.", json_schema_extra=about("CHART-41")
    )
    vault_namespace: DnsLabel | None = Field(
        default=None,
        description="Namespace of Vault's pods, for pods which talk to Vault themselves.",
        json_schema_extra=about("CHART-41"),
    )


class ArgoCdArgs(Model):
    """The ArgoCD that deploys the charts."""

    namespace: DnsLabel = Field(
        default="argocd", description="Namespace of the Applications.", json_schema_extra=about("ARGO-03")
    )
    server: HttpUrl = Field(
        default="https://kubernetes.default.svc",
        description="The cluster it deploys to, as ArgoCD reaches it.",
        json_schema_extra=about("ARGO-06", unit="URL"),
    )


class BackupArgs(Model):
    """Where the backups of a decommissioned application go, seen from the machine which runs Pulumi."""

    directory: str = Field(
        pattern=r"^/",
        description="Directory of the backups, with mode 0700.",
        json_schema_extra=about("APP-39", unit="path"),
    )
    pg_dump: str = Field(
        default="pg_dump", min_length=1, description="Program that dumps a database.", json_schema_extra=about("APP-39")
    )
    host: HostName | None = Field(
        default=None,
        description="Database server from there. Default: as Vault reaches it.",
        json_schema_extra=about("APP-39"),
    )
    sslmode: SslMode | None = Field(
        default=None, description="TLS to it. Default: as Vault's.", json_schema_extra=about("APP-39, PG-30")
    )
    ca_file: str | None = Field(
        default=None,
        pattern=r"^/",
        description="File with the certificate authority of the server.",
        json_schema_extra=about("APP-39, PG-30", unit="path"),
    )
    port: Port | None = Field(
        default=None,
        description="Its port. Default: as Vault reaches it.",
        json_schema_extra=about("APP-39", unit="port"),
    )


class PlatformArgs(Model):
    """What all applications of one site share."""

    organization: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Organisation that owns the repositories.",
        json_schema_extra=about("NAME-02"),
    )
    forge_url: HttpUrl = Field(description="The forge.", json_schema_extra=about("section 1, ARGO-04", unit="URL"))
    registry: HostName = Field(description="Registry of the images.", json_schema_extra=about("section 1, NAME-18"))
    vault: VaultAccessArgs = Field(description="Vault.", json_schema_extra=about("section 8"))
    postgres: PostgresAccessArgs = Field(description="PostgreSQL.", json_schema_extra=about("section 7"))
    exposure: dict[DnsLabel, ExposureClassArgs] = Field(
        description="Exposure classes by name.", json_schema_extra=about("CHART-20 to CHART-27")
    )
    storage_class: DnsLabel = Field(description="Storage class of the volumes.", json_schema_extra=about("CHART-30"))
    network: NetworkArgs = Field(
        default=NetworkArgs(), description="Neighbours of the applications.", json_schema_extra=about("CHART-41")
    )
    argocd: ArgoCdArgs = Field(default=ArgoCdArgs(), description="ArgoCD.", json_schema_extra=about("section 9"))
    naming: NamingStrategy = Field(
        default=DOCUMENTED, description="How names are derived.", json_schema_extra=about("NAME-25")
    )
    backup: BackupArgs | None = Field(
        default=None,
        description="Where `decommission` backs databases and configuration secrets up; it is refused without.",
        json_schema_extra=about("APP-39"),
    )
    protect_data: bool = Field(
        default=True,
        description="Refuse the deletion of databases, owner roles, configuration secrets and volumes.",
        json_schema_extra=about("APP-39"),
    )
