"""The gateway's NVMe disk."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import Model, about
from .args_values import PlainPath

__all__ = ["StorageArgs"]

DevicePath = Annotated[str, StringConstraints(pattern=r"^/dev/[A-Za-z0-9._/-]+$")]
FileSystemLabel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=16)]
"""ext4 keeps 16 bytes."""


class StorageArgs(Model):
    """The disk that holds the data. A disk that holds anything is never formatted (CM5-143 to CM5-150)."""

    device: DevicePath = Field(
        default="/dev/nvme0n1", description="The whole disk.", json_schema_extra=about("CM5-19, CM5-42")
    )
    label: FileSystemLabel | None = Field(
        default=None,
        description="Label of the file system. Default: `<product>-data`.",
        json_schema_extra=about("CM5-144"),
    )
    mount: PlainPath = Field(
        default="/mnt/nvme", description="Where it is mounted.", json_schema_extra=about("CM5-43, CM5-145")
    )
    bind_mounts: bool = Field(
        default=True,
        description="Data and logs lie on it: their directories are bind mounts.",
        json_schema_extra=about("CM5-44, CM5-146"),
    )
    erase_serial: str | None = Field(
        default=None,
        pattern=r"^[\x21-\x7e]+$",
        description="Serial number of the one disk that may be erased although it holds other data "
        "(`lsblk -dno SERIAL`). Any other disk stays safe, also with this left in place.",
        json_schema_extra=about("CM5-147"),
    )

    @property
    def partition(self) -> str:
        """The device of its one partition."""
        return f"{self.device}{'p' if self.device[-1].isdigit() else ''}1"

    @model_validator(mode="after")
    def _device_is_a_disk(self) -> Self:
        if self.device.startswith("/dev/nvme") and "p" in self.device.removeprefix("/dev/nvme"):
            message = f"device {self.device!r} is a partition: give the whole disk, for example /dev/nvme0n1"
            raise ValueError(message)
        return self
