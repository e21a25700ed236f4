"""Whose notes hold the routes of a gateway, and where the labels of each guest come from."""

from collections import Counter
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from ..host.args_values import AbsolutePath
from ..host.remote_host import RemoteHost
from ..model import Model, about
from .args import TransformArgs
from .args_proxmox import ProxmoxConnection
from .notes import Adopt
from .plugin import PINNED, REQUIRED, parse_version

__all__ = ["DEFAULT_PLUGIN_VERSION", "GuestNotesArgs", "PluginVersion", "ProxmoxNotesArgs", "WhenEmpty"]

DEFAULT_BLOCK: Final = "gateway"
DEFAULT_PLUGIN_VERSION: Final = f"v{'.'.join(map(str, PINNED))}"

BlockName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
GuestName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")]
Tag = Annotated[str, StringConstraints(pattern=r"^([a-z0-9_][a-z0-9_+.-]*)?$")]


def _reads_our_notes(version: str) -> str:
    if parse_version(version) < REQUIRED:
        message = f"plugin {version} does not read key=value notes whole (TPX-262): take v0.7.5 or newer"
        raise ValueError(message)
    return version


PluginVersion = Annotated[str, StringConstraints(pattern=r"^v\d+\.\d+\.\d+$"), AfterValidator(_reads_our_notes)]
"""A version of the plugin that reads what is written here."""


class WhenEmpty(StrEnum):
    """What becomes of the routes of a guest where no published container runs any more."""

    CLEAR = "clear"
    """Its block is removed, the other notes stay (TPX-136)."""
    KEEP = "keep"
    """Its block stays."""


class GuestNotesArgs(Model):
    """One guest. Its labels are asked for over SSH (`host`), or given (`containers`)."""

    vmid: int = Field(ge=100, le=999_999_999, description="Number of the guest.", json_schema_extra=about("TPX-26"))
    host: RemoteHost | None = Field(
        default=None,
        description="How the guest is reached; its containers are inspected with each preview.",
        json_schema_extra=about("TPX-25, TPX-30"),
    )
    inspection: AbsolutePath | None = Field(
        default=None,
        description="Program on the guest which prints its containers, run with sudo, for a login which may run "
        "nothing else (docs/traefik-gateway.md). Default: the engine's own commands.",
        json_schema_extra=about("TPX-208"),
    )
    containers: dict[str, dict[str, str]] | None = Field(
        default=None,
        description="Labels by container, instead of `host`.",
        json_schema_extra=about("TPX-251"),
    )
    transform: TransformArgs = Field(
        default=TransformArgs(), description="How its labels are transformed.", json_schema_extra=about("TPX-250")
    )
    adopt: Adopt = Field(
        default=Adopt.REFUSE,
        description="What becomes of label lines outside the block: `refuse`, `same` (those which the block replaces "
        "are removed) or `all` (all are removed).",
        json_schema_extra=about("TPX-133"),
    )
    when_empty: WhenEmpty = Field(
        default=WhenEmpty.CLEAR,
        description="What becomes of its routes when nothing is published there any more: `clear` or `keep`.",
        json_schema_extra=about("TPX-136"),
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.host is None) is (self.containers is None):
            raise ValueError("a guest needs either host or containers: give one of them")
        if self.inspection is not None and self.host is None:
            raise ValueError("inspection is a program on host: give host, or remove it")
        return self


class ProxmoxNotesArgs(ProxmoxConnection):
    """The guests of one cluster whose notes hold the routes of one gateway."""

    guests: dict[GuestName, GuestNotesArgs] = Field(
        default={}, description="The guests, each under a name of ours.", json_schema_extra=about("TPX-05, TPX-26")
    )
    tag: Tag = Field(
        default="exposed",
        description="Only running guests with this tag are read and written; empty for no such rule. A guest that "
        "loses it loses its routes.",
        json_schema_extra=about("TPX-21, TPX-27, TPX-234"),
    )
    block: BlockName = Field(
        default=DEFAULT_BLOCK,
        description="Name of the block of labels in the notes; two stacks that write to one cluster need two.",
        json_schema_extra=about("TPX-130"),
    )
    fence: bool = Field(
        default=True,
        description="Put the labels into a code block, which keeps them readable in the web interface.",
        json_schema_extra=about("TPX-111"),
    )
    plugin_version: PluginVersion = Field(
        default=DEFAULT_PLUGIN_VERSION,
        description="Version of the gateway's plugin, whose reading of the notes is predicted.",
        json_schema_extra=about("TPX-262"),
    )

    def options_of(self, name: str) -> TransformArgs:
        """Give the options of a guest; its service is named after it, for each guest needs its own (TPX-98)."""
        given = self.guests[name].transform
        if "gateway_service_name" in given.model_fields_set:
            return given
        return given.model_copy(update={"gateway_service_name": f"{name}-traefik"})

    @model_validator(mode="after")
    def _guests_are_distinct(self) -> Self:
        counts = Counter(guest.vmid for guest in self.guests.values())
        if twice := [
            f"{vmid} ({', '.join(name for name, guest in self.guests.items() if guest.vmid == vmid)})"
            for vmid, count in counts.items()
            if count > 1
        ]:
            message = f"guests with one VMID: {'; '.join(twice)}. Give each guest one name"
            raise ValueError(message)
        return self
