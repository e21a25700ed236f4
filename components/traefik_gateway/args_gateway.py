"""The gateway's own machine: its entry points, certificates, plugin, and how Traefik runs there."""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from ..host.args_values import AbsolutePath, ItemName
from ..host.remote_host import RemoteHost
from ..model import HttpUrl, Model, Port, about
from .args import TraefikName
from .args_notes import DEFAULT_PLUGIN_VERSION, PluginVersion
from .args_proxmox import BaseAddress, Certificate, TokenId

__all__ = ["PLUGIN_MODULE", "AcmeArgs", "PluginArgs", "ReleaseArgs", "Runtime", "TraefikGatewayArgs"]

PLUGIN_MODULE: Final = "github.com/NX211/traefik-proxmox-provider"
_MOVING: Final = frozenset({"", "latest", "edge", "nightly"})
_OWN_ENTRY_POINTS: Final = ("web", "websecure", "traefik")

PlainPath = Annotated[AbsolutePath, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]+$")]
"""A directory that a unit names: blanks and ``%`` would mean something else there."""
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]
HttpsUrl = Annotated[HttpUrl, StringConstraints(pattern=r"^https://")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _pinned(image: str) -> str:
    """Refuse an image that means something else tomorrow (TPX-187)."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not digest and (tag in _MOVING or not any(char.isdigit() for char in tag)):
        message = f"{image!r} names no version: pin one, for example traefik:v3.7.13, or a digest"
        raise ValueError(message)
    return image


Image = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]*$"), AfterValidator(_pinned)]


class Runtime(StrEnum):
    """How Traefik runs."""

    COMPOSE = "compose"
    """In a container, by Docker Compose."""
    SYSTEMD = "systemd"
    """As a service of the machine, with a user of its own."""


class AcmeArgs(Model):
    """Certificates, proven by port 80 (TPX-178)."""

    email: Email = Field(description="Account.", json_schema_extra=about("TPX-178"))
    server: HttpsUrl | None = Field(
        default=None,
        description="Directory of the authority, over HTTPS: Traefik takes no other. Default: Let's Encrypt's.",
        json_schema_extra=about("TPX-178", unit="URL"),
    )
    ca_pem: Certificate | None = Field(
        default=None,
        description="Certificate of the authority that signed the directory's own, for an authority of the house. "
        "Without it, the system's trust.",
        json_schema_extra=about("TPX-178", unit="PEM"),
    )

    @model_validator(mode="after")
    def _trust_is_for_a_server(self) -> Self:
        if self.ca_pem is not None and self.server is None:
            raise ValueError("ca_pem is what server is verified by: give server, or remove it")
        return self


class PluginArgs(Model):
    """The plugin that reads the notes, with a token of its own which can only read (TPX-199, TPX-200)."""

    endpoint: BaseAddress = Field(
        description="Address of the Proxmox API as the gateway reaches it.", json_schema_extra=about("TPX-32, TPX-258")
    )
    token_id: TokenId = Field(
        description="Name of the API token that reads: `user@realm!name`. It needs `VM.Audit` and `Sys.Audit`.",
        json_schema_extra=about("TPX-33, TPX-34, TPX-257"),
    )
    ca_pem: Certificate | None = Field(
        default=None,
        description="Certificate of the authority that signed the API's. Without it, the system's trust.",
        json_schema_extra=about("TPX-36", unit="PEM"),
    )
    poll_seconds: int = Field(
        default=30,
        ge=5,
        description="How often the notes are read; more when the cluster has too many requests.",
        json_schema_extra=about("TPX-37, TPX-190, TPX-224", unit="seconds"),
    )
    logging: Literal["info", "debug"] = Field(
        default="info", description="What the plugin says about its requests.", json_schema_extra=about("TPX-257")
    )
    version: PluginVersion = Field(
        default=DEFAULT_PLUGIN_VERSION,
        description="Version of the plugin; the first that reads these notes is v0.7.5.",
        json_schema_extra=about("TPX-39, TPX-187, TPX-262"),
    )


class ReleaseArgs(Model):
    """A release archive of Traefik, for a machine without Docker."""

    url: HttpUrl = Field(description="The `.tar.gz` of a release.", json_schema_extra=about("TPX-187"))
    sha256: Sha256 = Field(description="Its SHA-256.", json_schema_extra=about("TPX-187"))


class TraefikGatewayArgs(Model):
    """A Traefik that faces the Internet and makes its routes of Proxmox notes and files."""

    host: RemoteHost = Field(description="How its machine is reached.", json_schema_extra=about("TPX-06"))
    runtime: Runtime = Field(
        default=Runtime.COMPOSE,
        description="How Traefik runs: `compose` or `systemd`.",
        json_schema_extra=about("TPX-256"),
    )
    image: Image = Field(
        default="traefik:v3.7.13",
        description="Image, for `compose`; a version or a digest is required.",
        json_schema_extra=about("TPX-181, TPX-187"),
    )
    release: ReleaseArgs | None = Field(
        default=None, description="Release, for `systemd`.", json_schema_extra=about("TPX-187")
    )
    directory: PlainPath = Field(
        default="/opt/traefik-gateway",
        description="Directory on the machine with everything that belongs to it.",
        json_schema_extra=about("TPX-182"),
    )
    acme: AcmeArgs = Field(description="Certificates.", json_schema_extra=about("TPX-178"))
    resolver: TraefikName = Field(
        default="letsencrypt", description="Name of the certificate resolver.", json_schema_extra=about("TPX-177")
    )
    http_port: Port = Field(default=80, description="Port of plain HTTP.", json_schema_extra=about("TPX-176"))
    https_port: Port = Field(default=443, description="Port of HTTPS.", json_schema_extra=about("TPX-177"))
    entry_points: dict[TraefikName, Port] = Field(
        default={},
        description="Further entry points, for TCP routers of files.",
        json_schema_extra=about("TPX-243, TPX-256"),
    )
    plugin: PluginArgs | None = Field(
        default=None,
        description="The plugin that reads notes. Absent: routes come from files alone.",
        json_schema_extra=about("TPX-180"),
    )
    dashboard_port: Port | None = Field(
        default=None,
        description="Port of the dashboard, on the machine's loopback address only. Default: no dashboard.",
        json_schema_extra=about("TPX-188"),
    )
    docker_provider: bool = Field(
        default=False,
        description="Publish containers of the gateway's own machine as well: Traefik then reads the Docker socket.",
        json_schema_extra=about("TPX-183, TPX-189"),
    )
    dynamic: dict[ItemName, dict[str, JsonValue]] = Field(
        default={},
        description="Dynamic configuration by name of its file: middlewares that notes cannot define, TCP and UDP.",
        json_schema_extra=about("TPX-179, TPX-246"),
    )

    @model_validator(mode="after")
    def _runtime_has_what_it_needs(self) -> Self:
        if (self.runtime is Runtime.SYSTEMD) is (self.release is None):
            raise ValueError("release belongs to runtime systemd: give both, or neither")
        if self.runtime is Runtime.SYSTEMD and self.docker_provider:
            raise ValueError("docker_provider needs runtime compose: on this machine Traefik runs without Docker")
        return self

    @model_validator(mode="after")
    def _ports_are_distinct(self) -> Self:
        if taken := [name for name in self.entry_points if name in _OWN_ENTRY_POINTS]:
            message = f"entry_points has {', '.join(taken)}, which this component makes itself: choose other names"
            raise ValueError(message)
        ports = [self.http_port, self.https_port, *self.entry_points.values()]
        ports += [self.dashboard_port] if self.dashboard_port else []
        if twice := sorted({port for port in ports if ports.count(port) > 1}):
            message = f"port {', '.join(map(str, twice))} is given twice: choose distinct ones"
            raise ValueError(message)
        return self
