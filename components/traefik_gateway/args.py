"""How the labels of one machine become the labels of its gateway."""

from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import Model, Port, about

__all__ = ["Collisions", "Mode", "TransformArgs"]

LowerName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A name of a router or service; lower case, because newer plugins compare it so (TPX-98)."""

TraefikName = Annotated[str, StringConstraints(pattern=r"^[^\s,@=\"'`]+$", max_length=63)]
"""The name of an entry point or of a certificate resolver."""


class Mode(StrEnum):
    """What the gateway forwards to."""

    PASSTHROUGH = "passthrough"
    """The machine's own Traefik, which goes on to apply its middlewares."""
    FILTER = "filter"
    """The containers' published ports; their middlewares are lost."""


class Collisions(StrEnum):
    """What becomes of different routers or services with one name."""

    REFUSE = "refuse"
    """They are an error."""
    PREFIX = "prefix"
    """Within one machine the container's name is put before theirs, between machines the machine's."""


class TransformArgs(Model):
    """Options of one machine (section 2.1 of the requirements); each machine can have its own (TPX-250)."""

    mode: Mode = Field(
        default=Mode.PASSTHROUGH, description="What the gateway forwards to.", json_schema_extra=about("TPX-14")
    )
    gateway_service_name: LowerName = Field(
        default="homelab-traefik",
        description="Name of the machine's service on the gateway; each machine needs its own.",
        json_schema_extra=about("TPX-16, TPX-98"),
    )
    traefik_local_port: Port = Field(
        default=8080, description="Port of the machine's Traefik.", json_schema_extra=about("TPX-15")
    )
    server_scheme: Annotated[str, StringConstraints(pattern=r"^https?$")] = Field(
        default="http",
        description="Whether that port speaks `http` or `https`.",
        json_schema_extra=about("TPX-20, TPX-173"),
    )
    entrypoint: TraefikName = Field(
        default="websecure", description="Entry point of the gateway.", json_schema_extra=about("TPX-17")
    )
    cert_resolver: TraefikName = Field(
        default="letsencrypt", description="Certificate resolver of the gateway.", json_schema_extra=about("TPX-18")
    )
    strip_prefix: Annotated[str, StringConstraints(pattern=r"^[^\s@=.]*$")] = Field(
        default="mash-",
        description="Prefix that router names lose in mode `passthrough`; empty for none.",
        json_schema_extra=about("TPX-19, TPX-96"),
    )
    exposed_by_default: bool = Field(
        default=False,
        description="Whether containers without `traefik.enable` are published, as the machine's Traefik is set.",
        json_schema_extra=about("TPX-155"),
    )
    collisions: Collisions = Field(
        default=Collisions.REFUSE,
        description="What becomes of different routers with one name: `refuse` or `prefix`.",
        json_schema_extra=about("TPX-99, TPX-152"),
    )
    allow_internal: bool = Field(
        default=False,
        description="Publish routers to Traefik's own services (`api@internal`, ...): the dashboard, on the Internet.",
        json_schema_extra=about("TPX-156"),
    )
    allow_dropped_auth: bool = Field(
        default=False,
        description="In mode `filter`, publish routers whose access protection is lost.",
        json_schema_extra=about("TPX-81"),
    )
    strict_seed_filter: bool = Field(
        default=False,
        description="In mode `filter`, emit the keep list alone: no `service` and no `priority`.",
        json_schema_extra=about("TPX-82"),
    )
    emit_priority: bool | None = Field(
        default=None,
        description="Emit each router's priority, because the plugin gives all of them 1; default: in mode `filter`.",
        json_schema_extra=about("TPX-158"),
    )
    server_ip: IPv4Address | None = Field(
        default=None,
        description="The machine's address, emitted for machines with several; needs plugin 0.7.6.",
        json_schema_extra=about("TPX-172"),
    )
    rename_entrypoints: dict[TraefikName, TraefikName] = Field(
        default={},
        description="In mode `filter` and for TCP and UDP: the gateway's entry point for each of the machine's.",
        json_schema_extra=about("TPX-84"),
    )
    rename_resolvers: dict[TraefikName, TraefikName] = Field(
        default={},
        description="In mode `filter`: the gateway's certificate resolver for each of the machine's.",
        json_schema_extra=about("TPX-84"),
    )
    known_entrypoints: tuple[TraefikName, ...] = Field(
        default=("web",),
        description="Further entry points of the gateway; a warning tells of any other.",
        json_schema_extra=about("TPX-84"),
    )
    known_resolvers: tuple[TraefikName, ...] = Field(
        default=(),
        description="Further certificate resolvers of the gateway.",
        json_schema_extra=about("TPX-84"),
    )
    local_ports: dict[TraefikName, Port] = Field(
        default={},
        description="Port of each TCP or UDP entry point of the machine's Traefik (file output, mode `passthrough`).",
        json_schema_extra=about("TPX-243"),
    )

    @model_validator(mode="after")
    def _strict_is_strict(self) -> Self:
        if self.strict_seed_filter and self.emit_priority:
            raise ValueError("strict_seed_filter emits no priority: remove emit_priority, or strict_seed_filter")
        return self

    @property
    def emits_priority(self) -> bool:
        """Whether priorities are emitted."""
        if self.emit_priority is None:
            return self.mode is Mode.FILTER and not self.strict_seed_filter
        return self.emit_priority
