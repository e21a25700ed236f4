"""What runs on the gateway: containers, services of the host, and what they listen on. Data of the stack."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from ..host.args import FileArgs, Sections
from ..host.args_values import AbsolutePath, FileMode
from ..model import DnsLabel, Model, Port, about
from .args_values import EnvName, RelativePath, SecretName

__all__ = [
    "ConfigFileArgs",
    "ContainerArgs",
    "ContainerImage",
    "FrontendArgs",
    "HostServiceArgs",
    "ListenerArgs",
    "Place",
    "VolumeArgs",
]

ContainerImage = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][\w.:/-]*:[\w.{}-]+(@sha256:[0-9a-f]{64})?$")]
"""An image with a tag; ``{version}`` in it is the gateway's ``version``."""

OwnerIds = Annotated[str, StringConstraints(pattern=r"^[0-9]+:[0-9]+$")]
KeyPath = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]


class Place(StrEnum):
    """A side of the gateway."""

    LAN = "lan"
    SEGMENT = "segment"


class ListenerArgs(Model):
    """Something that waits for connections. Who may reach it is what the firewall lets through (CM5-215)."""

    port: Port = Field(description="Port.", json_schema_extra=about("section 4"))
    protocol: Literal["tcp", "udp"] = Field(
        default="tcp", description="Protocol.", json_schema_extra=about("section 4")
    )
    address: Literal["all", "loopback", "lan", "segment"] = Field(
        default="all",
        description="Where the program binds, as its own configuration says.",
        json_schema_extra=about("CM5-98"),
    )
    open_to: tuple[Place, ...] = Field(
        default=(),
        description="Sides whose clients may reach it. Nobody else but the gateway itself can.",
        json_schema_extra=about("CM5-215"),
    )


class ConfigFileArgs(Model):
    """A configuration file of a container."""

    mount: AbsolutePath = Field(
        description="Where the container sees it, read-only.", json_schema_extra=about("CM5-52")
    )
    format: Literal["text", "yaml", "json"] = Field(
        default="text", description="How `content` is written.", json_schema_extra=about("CM5-274")
    )
    content: JsonValue = Field(
        description="The text, or the values of a YAML or JSON file.", json_schema_extra=about("CM5-274")
    )
    secrets: dict[KeyPath, SecretName] = Field(
        default={},
        description="Values of `content` that are secrets: dotted key to name of the secret. Only root can then read "
        "the file; a program that runs as somebody else takes them from `secret_environment`.",
        json_schema_extra=about("CM5-214"),
    )

    @model_validator(mode="after")
    def _content_has_its_form(self) -> Self:
        if (self.format == "text") is not isinstance(self.content, str):
            message = f"content of a {self.format} file is {type(self.content).__name__}: give text to a text file only"
            raise ValueError(message)
        if self.secrets and not isinstance(self.content, dict):
            raise ValueError("secrets are put into keys of a map: give content as a map with format yaml or json")
        return self


class VolumeArgs(Model):
    """Data of a container, kept below the gateway's data directory."""

    mount: AbsolutePath = Field(description="Where the container sees it.", json_schema_extra=about("CM5-51"))
    owner: OwnerIds | None = Field(
        default=None,
        description="Numbers of user and group that the directory is given to. Default: root's.",
        json_schema_extra=about("CM5-51"),
    )
    mode: FileMode = Field(default="0750", description="Permissions.", json_schema_extra=about("CM5-51"))


class ContainerArgs(Model):
    """A container. All of them share the host's network (CM5-185)."""

    image: ContainerImage = Field(description="Image with its tag.", json_schema_extra=about("CM5-189"))
    command: tuple[str, ...] = Field(
        default=(), description="Arguments. Default: the image's.", json_schema_extra=about("CM5-185")
    )
    environment: dict[EnvName, str] = Field(default={}, description="Variables.", json_schema_extra=about("CM5-185"))
    secret_environment: dict[EnvName, SecretName] = Field(
        default={},
        description="Variables whose value is a secret of the stack.",
        json_schema_extra=about("CM5-82, CM5-190, CM5-214"),
    )
    files: dict[RelativePath, ConfigFileArgs] = Field(
        default={},
        description="Configuration files, by their path in the container's configuration directory.",
        json_schema_extra=about("CM5-52, CM5-115 to CM5-125"),
    )
    volumes: dict[DnsLabel, VolumeArgs] = Field(
        default={}, description="Data by name.", json_schema_extra=about("CM5-51")
    )
    mounts: dict[AbsolutePath, AbsolutePath] = Field(
        default={},
        description="Paths of the host that the container may read: host path to container path.",
        json_schema_extra=about("CM5-185"),
    )
    listens: tuple[ListenerArgs, ...] = Field(
        default=(), description="What it listens on.", json_schema_extra=about("CM5-90 to CM5-96, CM5-98")
    )

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets it needs."""
        inside = {name for file in self.files.values() for name in file.secrets.values()}
        return frozenset(inside | set(self.secret_environment.values()))


class FrontendArgs(Model):
    """Static files that nginx serves, taken out of an image (CM5-187)."""

    image: ContainerImage = Field(description="Image that holds them.", json_schema_extra=about("CM5-119, CM5-189"))
    directory: AbsolutePath = Field(
        default="/usr/share/nginx/html", description="Where they are in it.", json_schema_extra=about("CM5-187")
    )
    container: DnsLabel | None = Field(
        default="backend",
        description="Container that must have the same tag. null: they are versioned apart.",
        json_schema_extra=about("CM5-208"),
    )


class HostServiceArgs(Model):
    """A systemd service beside the containers: a monitor, a timer that reports (CM5-127, CM5-129)."""

    unit: Sections = Field(
        description="The service's unit file; `Install` is added where there is no timer.",
        json_schema_extra=about("CM5-127, CM5-188"),
    )
    timer: Sections | None = Field(
        default=None, description="The timer that starts it.", json_schema_extra=about("CM5-129")
    )
    files: dict[AbsolutePath, FileArgs] = Field(
        default={}, description="Its files; a change restarts it.", json_schema_extra=about("CM5-127")
    )
    secrets: dict[AbsolutePath, SecretName] = Field(
        default={}, description="Files whose content is a secret of the stack.", json_schema_extra=about("CM5-214")
    )
    listens: tuple[ListenerArgs, ...] = Field(
        default=(), description="What it listens on.", json_schema_extra=about("CM5-97, CM5-98")
    )

    @model_validator(mode="after")
    def _secret_contents_have_their_files(self) -> Self:
        for path in self.secrets:
            file = self.files.get(path)
            if file is None or not file.secret or file.content is not None or file.content_base64 is not None:
                message = f"secrets names {path!r}: add it to files with `secret: true` and no content"
                raise ValueError(message)
        return self
