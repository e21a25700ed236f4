"""What the gateway serves to the LAN: nginx, Traefik with its certificates, and the LAN's DNS."""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import DnsLabel, HostName, HttpUrl, Model, Port, about
from .args_containers import ContainerImage
from .args_values import EnvName, Ipv4, SecretName

__all__ = ["AcmeArgs", "AdguardArgs", "Keeper", "LocalCaArgs", "NginxArgs", "TraefikArgs"]

UrlPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]*$")]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]
CommonName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=64)]

_LONGEST_LEAF: Final = 825
"""Clients refuse certificates of a private authority that are valid for more days."""


class NginxArgs(Model):
    """The web server that faces the field devices; their firmware's client needs this one (CM5-100)."""

    image: ContainerImage = Field(description="Image with its tag.", json_schema_extra=about("CM5-120, CM5-185"))
    proxies: dict[UrlPath, Port] = Field(
        default={},
        description="Paths that a program on the gateway answers, with its port.",
        json_schema_extra=about("CM5-99"),
    )


class AcmeArgs(Model):
    """Certificates for the public name. Port 80 is closed here, so HTTP-01 cannot be chosen (CM5-182)."""

    email: Email = Field(description="Account.", json_schema_extra=about("CM5-46"))
    use_staging: bool = Field(
        default=False,
        description="Use the staging authority, which no client trusts: for trials only.",
        json_schema_extra=about("CM5-47, CM5-217"),
    )
    challenge: Literal["tls-alpn-01", "dns-01"] = Field(
        default="tls-alpn-01",
        description="How the name is proven: port 443 reached from the Internet, or a DNS record.",
        json_schema_extra=about("CM5-182"),
    )
    dns_provider: DnsLabel | None = Field(
        default=None, description="Traefik's name of the DNS provider.", json_schema_extra=about("CM5-182")
    )
    dns_credentials: dict[EnvName, SecretName] = Field(
        default={},
        description="Variables of that provider, each a secret of the stack.",
        json_schema_extra=about("CM5-182, CM5-214"),
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.challenge == "dns-01") is not (self.dns_provider is not None):
            message = f"challenge {self.challenge} and dns_provider {self.dns_provider!r} do not fit: dns-01 needs one"
            raise ValueError(message)
        if self.dns_credentials and self.dns_provider is None:
            raise ValueError("dns_credentials are for dns-01: remove them, or choose it")
        return self


class TraefikArgs(Model):
    """The HTTPS edge of the LAN (CM5-84)."""

    image: ContainerImage = Field(description="Image with its tag.", json_schema_extra=about("CM5-55, CM5-121"))
    resolver: DnsLabel = Field(
        default="letsencrypt", description="Name of the certificate resolver.", json_schema_extra=about("CM5-179")
    )
    acme: AcmeArgs | None = Field(
        default=None,
        description="Certificates for the public name. Absent: Traefik's own, which no client trusts.",
        json_schema_extra=about("CM5-15, CM5-179"),
    )


class Keeper(StrEnum):
    """Where the key of an authority is made and kept. It never leaves that place."""

    DEVICE = "device"
    """On the gateway, whose timer renews the certificate."""
    VAULT = "vault"
    """In Vault; `up` renews the certificate, so somebody has to run it within `renew_before_days`."""


class LocalCaArgs(Model):
    """An authority of the gateway's own for its `.local` name; its key is made once and stays where it was made."""

    name: CommonName = Field(description="Name that clients see.", json_schema_extra=about("CM5-14, CM5-178"))
    keeper: Keeper = Field(
        default=Keeper.DEVICE,
        description="Where its key is made and kept: `device`, or `vault`. Another one is another authority.",
        json_schema_extra=about("CM5-183, CM5-214"),
    )
    authority_days: int = Field(
        default=3650,
        ge=365,
        description="How long the authority is valid; each client installs it once.",
        json_schema_extra=about("CM5-183", unit="days"),
    )
    certificate_days: int = Field(
        default=397,
        ge=2,
        le=_LONGEST_LEAF,
        description="How long the served certificate is valid.",
        json_schema_extra=about("CM5-178", unit="days"),
    )
    renew_before_days: int = Field(
        default=30,
        ge=1,
        description="It is renewed when it has only so long left: by the device itself, or from Vault by `up`.",
        json_schema_extra=about("CM5-178", unit="days"),
    )

    @property
    def in_vault(self) -> bool:
        """Whether Vault keeps the key, and not the device."""
        return self.keeper is Keeper.VAULT

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if not self.renew_before_days < self.certificate_days < self.authority_days:
            message = (
                f"renew_before_days {self.renew_before_days} < certificate_days {self.certificate_days} < "
                f"authority_days {self.authority_days} does not hold: correct them"
            )
            raise ValueError(message)
        return self


class AdguardArgs(Model):
    """The LAN's filtering DNS server, with the answers that keep clients of the house inside (CM5-175, CM5-176)."""

    image: ContainerImage = Field(description="Image with its tag.", json_schema_extra=about("CM5-123"))
    ui_port: Port = Field(default=3000, description="Port of its pages.", json_schema_extra=about("CM5-87"))
    admin: str = Field(
        default="admin",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Who logs in there.",
        json_schema_extra=about("CM5-216"),
    )
    password_hash: SecretName = Field(
        default="adguard_password_hash",
        description="Secret with the bcrypt hash of the password (`htpasswd -nB`).",
        json_schema_extra=about("CM5-216"),
    )
    upstream_dns: tuple[Ipv4 | HttpUrl, ...] = Field(
        default=("9.9.9.9", "149.112.112.112"),
        min_length=1,
        description="Who answers all other names: addresses or DNS-over-HTTPS.",
        json_schema_extra=about("CM5-86"),
    )
    bootstrap_dns: tuple[Ipv4, ...] = Field(
        default=("9.9.9.9",),
        min_length=1,
        description="Who answers the names of the upstream servers.",
        json_schema_extra=about("CM5-86", unit="IPv4"),
    )
    rewrites: dict[HostName, Ipv4 | None] = Field(
        default={},
        description="Further names with their answer; null is the gateway's own address.",
        json_schema_extra=about("CM5-175, CM5-177"),
    )
    filters: dict[DnsLabel, HttpUrl] = Field(
        default={}, description="Lists of names that are blocked, by a name of ours.", json_schema_extra=about("CM5-86")
    )
