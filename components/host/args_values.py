"""Plain values that the items of a host's desired document share."""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from ..model import Model, about

__all__ = [
    "AbsolutePath",
    "Argv",
    "FileMode",
    "ItemName",
    "ItemRef",
    "Line",
    "State",
    "Stateful",
    "SystemName",
    "UnitName",
]

_KINDS: Final = (
    "repositories|packages|groups|users|authorized_keys|directories|downloads|links|files|blocks|merges|"
    "sysctl|modules|mounts|units|steps"
)


_MODE: Final = re.compile(r"^[0-7]{3,4}$")


def _absolute(path: object) -> object:
    if isinstance(path, str) and not path.startswith("/"):
        message = f"{path!r} is no absolute path: begin it with '/'"
        raise ValueError(message)
    return path


def _normal(path: str) -> str:
    parts = path.split("/")[1:]
    if "\0" in path or path == "/" or any(part in {"", ".", ".."} for part in parts):
        message = f"{path!r} is not a plain path: write it without '.', '..', doubled and trailing slashes"
        raise ValueError(message)
    return path


def _octal(mode: object) -> object:
    if isinstance(mode, str) and not _MODE.match(mode):
        message = f"{mode!r} is no file mode: write it with three or four octal digits, like '0644'"
        raise ValueError(message)
    return mode


def _four_digits(mode: str) -> str:
    return mode.rjust(4, "0")


AbsolutePath = Annotated[
    str, BeforeValidator(_absolute), StringConstraints(pattern=r"^/", max_length=4095), AfterValidator(_normal)
]
"""A path on the host, absolute and in its shortest form. Spaces, quotes, newlines and non-ASCII are fine."""

FileMode = Annotated[
    str, BeforeValidator(_octal), StringConstraints(pattern=_MODE.pattern), AfterValidator(_four_digits)
]
"""Permissions in octal, for example ``0644``; YAML needs the quotes."""

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text without control characters: a newline in it would begin another line of a configuration file."""

ItemName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""A name of ours for an item."""

SystemName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]*$", max_length=32)]
"""A user's or group's name."""

UnitName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9:_.\\@-]+\.(service|socket|timer|target|path|mount|slice|swap|automount)$",
        max_length=255,
    ),
]
"""A systemd unit with its suffix."""

ItemRef = Annotated[str, StringConstraints(pattern=rf"^({_KINDS}):(?s:.+)$")]
"""An item of the same document as ``kind:key``, for example ``files:/etc/nginx/nginx.conf``."""

Argv = Annotated[tuple[Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")], ...], Field(min_length=1)]
"""A command and its arguments. No shell reads it; secrets belong in ``stdin``, for a process list shows this."""


class State(StrEnum):
    """Whether a thing is there. What no document names stays untouched."""

    PRESENT = "present"
    ABSENT = "absent"


class Stateful(Model):
    """A thing that can be present or explicitly absent."""

    state: State = Field(
        default=State.PRESENT,
        description="present, or absent: removed also where this program did not create it.",
        json_schema_extra=about("section 3"),
    )
