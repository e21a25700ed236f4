"""How a Proxmox cluster is reached. The secret of the token is no part of it."""

import ssl
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from ..model import HttpUrl, Model, Seconds, about

__all__ = ["DEFAULT_PORT", "BaseAddress", "Certificate", "Fingerprint", "ProxmoxConnection", "TokenId"]

DEFAULT_PORT: Final = 8006
_API_PATH: Final = "/api2/json"


def _base_address(url: str) -> str:
    """Accept the documented form with the path of the API, which the program adds itself (TPX-32, TPX-258)."""
    base = url.removesuffix(_API_PATH).rstrip("/")
    parts = urlsplit(base)
    if parts.scheme != "https" or parts.path:
        message = f"{url!r} is no address of a Proxmox API: write it like https://pve.example.test:8006"
        raise ValueError(message)
    return base


def _one_certificate(pem: str) -> str:
    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        message = f"holds no certificate ({error}): give the text of the PEM file, for example /etc/pve/pve-root-ca.pem"
        raise ValueError(message) from None
    return pem


BaseAddress = Annotated[HttpUrl, AfterValidator(_base_address)]
"""Address of an API, without its path."""

Certificate = Annotated[str, AfterValidator(_one_certificate)]
"""The text of a PEM file."""

TokenId = Annotated[str, StringConstraints(pattern=r"^[^\s@!/:]+@[A-Za-z][A-Za-z0-9._-]*![A-Za-z][A-Za-z0-9._-]*$")]
"""The name of an API token: ``user@realm!name``."""

Fingerprint = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$")]
"""The SHA-256 fingerprint of a certificate, as Proxmox shows it."""


class ProxmoxConnection(Model):
    """The API of a cluster; any of its nodes serves, for each forwards to the others.

    The server is always verified: by the fingerprint of its certificate, or else by an authority (TPX-118). There is no
    way to leave that out.
    """

    endpoint: BaseAddress = Field(
        description="Address of the API, for example `https://pve.example.test:8006`.",
        json_schema_extra=about("TPX-10, TPX-32", unit="URL"),
    )
    token_id: TokenId = Field(
        description="Name of the API token that writes notes: `user@realm!name`. It needs `VM.Audit` and "
        "`VM.Config.Options`, nothing more; another token than the gateway's.",
        json_schema_extra=about("TPX-11, TPX-12, TPX-198, TPX-200"),
    )
    fingerprint: Fingerprint | None = Field(
        default=None,
        description="SHA-256 fingerprint of the server's certificate; any other certificate is refused.",
        json_schema_extra=about("TPX-118"),
    )
    ca_pem: Certificate | None = Field(
        default=None,
        description="Certificate of the authority that signed the server's, for example the cluster's own from "
        "`/etc/pve/pve-root-ca.pem`. Without it and without `fingerprint`, the system's trust.",
        json_schema_extra=about("TPX-118", unit="PEM"),
    )
    timeout_seconds: Seconds = Field(
        default=10, description="How long to wait for one answer.", json_schema_extra=about("TPX-119", unit="seconds")
    )

    @property
    def host(self) -> str:
        """The host of the endpoint."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        """The port of the endpoint."""
        return urlsplit(self.endpoint).port or DEFAULT_PORT

    @model_validator(mode="after")
    def _one_kind_of_trust(self) -> Self:
        if self.fingerprint is not None and self.ca_pem is not None:
            raise ValueError("fingerprint and ca_pem are both given: keep one")
        return self
