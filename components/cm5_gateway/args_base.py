"""What every gateway has beside its networks and containers: Docker, a toolchain, rotation of logs."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ..host.args import RepositoryArgs
from ..model import HttpUrl, Model, about

__all__ = ["DockerArgs", "GoArgs", "LogRotationArgs"]

Package = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
Size = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[kMG]$")]


class DockerArgs(Model):
    """The container engine (CM5-114)."""

    packages: tuple[Package, ...] = Field(
        default=("docker.io", "docker-compose"),
        min_length=1,
        description="Packages of the engine and of `docker compose`.",
        json_schema_extra=about("CM5-114"),
    )
    repository: RepositoryArgs | None = Field(
        default=None,
        description="Where they come from, if the system has none that bring `docker compose`.",
        json_schema_extra=about("CM5-114"),
    )
    log_max_size: Size = Field(
        default="10M", description="Largest log file of a container.", json_schema_extra=about("CM5-128")
    )
    log_max_files: int = Field(
        default=3, ge=1, description="Log files of a container.", json_schema_extra=about("CM5-128", unit="files")
    )


class GoArgs(Model):
    """The Go toolchain in `/usr/local/go`, for builds on the device (CM5-106, CM5-107)."""

    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+)?$")] = Field(
        default="1.23.4", description="Version.", json_schema_extra=about("CM5-54")
    )
    architecture: Literal["arm64", "amd64"] = Field(
        default="arm64", description="Of the device.", json_schema_extra=about("CM5-107")
    )
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the archive.", json_schema_extra=about("CM5-107")
    )
    source: HttpUrl = Field(
        default="https://go.dev/dl", description="Where the archive lies.", json_schema_extra=about("CM5-106")
    )


class LogRotationArgs(Model):
    """Rotation of the log directory (CM5-128)."""

    frequency: Literal["daily", "weekly", "monthly"] = Field(
        default="daily", description="How often.", json_schema_extra=about("CM5-128")
    )
    keep: int = Field(
        default=14, ge=1, description="How many old files stay.", json_schema_extra=about("CM5-128", unit="files")
    )
    max_size: Size = Field(
        default="50M", description="A larger file is rotated before its time.", json_schema_extra=about("CM5-128")
    )
