"""The gateway's channel to its hub."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from ..model import DnsLabel, Model, Seconds, about
from .args_values import Ipv4, MacAddress, RelativePath, SecretName

__all__ = ["CloudArgs", "RegistrationArgs"]

HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s/?#]+(/[^\s?#]*[^\s?#/])?$")]
"""The channel never uses plain HTTP (CM5-192)."""

_DEFAULT_POLL: Final = 5


class RegistrationArgs(Model):
    """The gateway's entry on the hub, made by an administrator's token (CM5-193, CM5-269)."""

    admin_token: SecretName = Field(
        default="hub_admin_token",
        description="Secret with the administrator's token. It is used only where something has to be registered.",
        json_schema_extra=about("CM5-193, CM5-214"),
    )


class CloudArgs(Model):
    """The block `cloud` of a container's configuration: outbound HTTPS with a token (CM5-64 to CM5-75, CM5-211)."""

    container: DnsLabel = Field(
        default="backend", description="Container that talks to the hub.", json_schema_extra=about("section 3.3")
    )
    file: RelativePath = Field(
        default="config.yaml", description="Its YAML file that gets the block.", json_schema_extra=about("section 3.3")
    )
    enabled: bool = Field(default=True, description="Whether it talks at all.", json_schema_extra=about("CM5-64"))
    hub_url: HttpsUrl = Field(
        description="The hub: an address with https and without a slash at the end.",
        json_schema_extra=about("CM5-65, CM5-192", unit="URL"),
    )
    hub_address: Ipv4 | None = Field(
        default=None,
        description="Public address of the hub, for the checks. Absent: any public one is right.",
        json_schema_extra=about("CM5-233", unit="IPv4"),
    )
    gateway_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")] | None = Field(
        default=None,
        description="Identity. Default: `gw-` and the LAN's hardware address without colons.",
        json_schema_extra=about("CM5-66, CM5-75"),
    )
    token: SecretName = Field(
        default="cloud_gateway_token",
        description="Secret with the bearer token.",
        json_schema_extra=about("CM5-67, CM5-214"),
    )
    poll_interval_seconds: Seconds = Field(
        default=_DEFAULT_POLL, description="Period.", json_schema_extra=about("CM5-68, CM5-196", unit="seconds")
    )
    client_id: str = Field(
        default="default", min_length=1, description="Client of the hub.", json_schema_extra=about("CM5-69")
    )
    machine_id: int = Field(
        ge=0,
        description="The machine; the hub delivers only what is for it.",
        json_schema_extra=about("CM5-70, CM5-195"),
    )
    eth0_mac: MacAddress | None = Field(
        default=None,
        description="As registered on the hub; must be `lan.mac`. Default: that.",
        json_schema_extra=about("CM5-71, CM5-197"),
    )
    eth1_mac: MacAddress | None = Field(
        default=None,
        description="As registered on the hub; must be `device_segment.mac`. Default: that.",
        json_schema_extra=about("CM5-72, CM5-197"),
    )
    registration: RegistrationArgs | None = Field(
        default=None,
        description="Register the gateway on the hub. Absent: somebody else does.",
        json_schema_extra=about("CM5-269"),
    )
    scheduled_sync_enabled: bool = Field(
        default=True, description="Synchronise on a schedule.", json_schema_extra=about("CM5-73")
    )
    scenarios_sync_enabled: bool = Field(
        default=True, description="Synchronise the scenarios too.", json_schema_extra=about("CM5-74, CM5-201")
    )
