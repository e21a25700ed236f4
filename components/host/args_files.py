"""What a host's desired document says about its file system."""

import base64
import binascii
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from ..model import HttpUrl, Model, about
from .args_values import AbsolutePath, Argv, FileMode, Line, State, Stateful, SystemName

__all__ = ["BlockArgs", "DirectoryArgs", "DownloadArgs", "FileArgs", "LinkArgs", "MergeArgs"]

VALIDATED_PATH = "%s"
"""Stands in a ``validate`` command for the temporary file."""


class _Owned(Stateful):
    owner: SystemName | None = Field(
        default=None,
        description="Owner. Default: the user who applies, root on a host.",
        json_schema_extra=about("section 3"),
    )
    group: SystemName | None = Field(
        default=None, description="Group. Default: the group of who applies.", json_schema_extra=about("section 3")
    )


class DirectoryArgs(_Owned):
    """A directory; missing parents are created with mode 0755. Removed only when it is empty."""

    mode: FileMode = Field(default="0755", description="Permissions.", json_schema_extra=about("DOCKER-06"))


class FileArgs(_Owned):
    """A whole file. Content that is secret or another resource's value is given to the component beside this."""

    content: str | None = Field(
        default=None, description="Text, written as UTF-8.", json_schema_extra=about("section 3")
    )
    content_base64: str | None = Field(
        default=None, description="Bytes in base64, instead of text.", json_schema_extra=about("section 3")
    )
    mode: FileMode = Field(default="0644", description="Permissions.", json_schema_extra=about("DOCKER-05"))
    secret: bool = Field(
        default=False,
        description="The content is a secret: only a keyed hash of it ever leaves the host.",
        json_schema_extra=about("CM5-214"),
    )
    validate_with: Argv | None = Field(
        default=None,
        description="Command that must accept the new content before it replaces the old; `%s` is the temporary file.",
        json_schema_extra=about("ROLE-deploy_docker_compose-03"),
    )

    @model_validator(mode="after")
    def _content_is_clear(self) -> Self:
        if self.content is not None and self.content_base64 is not None:
            raise ValueError("content and content_base64 are both given: remove one")
        if self.content_base64 is not None:
            try:
                base64.b64decode(self.content_base64, validate=True)
            except binascii.Error as error:
                message = f"content_base64 is not base64 ({error}): encode the bytes anew"
                raise ValueError(message) from error
        if self.state is State.ABSENT and (self.content is not None or self.content_base64 is not None):
            raise ValueError("an absent file has no content: remove content, or state")
        if self.validate_with is not None and not any(VALIDATED_PATH in word for word in self.validate_with):
            raise ValueError("validate_with names no file: put '%s' where the temporary file's path belongs")
        return self


class LinkArgs(Stateful):
    """A symbolic link. It replaces another link, never a file or a directory."""

    target: str | None = Field(
        default=None,
        pattern=r"^[^\x00]+$",
        description="Where it points, as it is written in the link.",
        json_schema_extra=about("section 3"),
    )

    @model_validator(mode="after")
    def _target_is_given(self) -> Self:
        if self.state is State.PRESENT and self.target is None:
            raise ValueError("a link needs its target: add target")
        return self


class BlockArgs(Stateful):
    """Lines of ours in a file that belongs to somebody else, between two marker lines."""

    path: AbsolutePath = Field(description="The file; it must exist.", json_schema_extra=about("section 3"))
    content: str = Field(
        default="", pattern=r"^[^\x00]*$", description="The lines.", json_schema_extra=about("section 3")
    )
    comment: Line = Field(
        default="#",
        min_length=1,
        description="What begins a comment in this file, for the markers.",
        json_schema_extra=about("section 3"),
    )

    @model_validator(mode="after")
    def _no_marker_inside(self) -> Self:
        for line in self.content.splitlines():
            if line.startswith((f"{self.comment} BEGIN factory ", f"{self.comment} END factory ")):
                message = f"the line {line!r} reads as a marker of a block: change it"
                raise ValueError(message)
        return self


class MergeArgs(Model):
    """Keys of ours in a JSON or INI file that belongs to somebody else; its other keys stay.

    A file that does not parse, or whose top is not an object, is refused with the reason (DOCKER-09, DOCKER-11). The
    content before the first change is kept beside it as ``<path>.factory-backup``.
    """

    format: Literal["json", "ini"] = Field(description="Notation of the file.", json_schema_extra=about("DOCKER-10"))
    values: dict[str, JsonValue] = Field(
        default={},
        description="What must be there: maps are merged, other values replaced. INI: section to key to text.",
        json_schema_extra=about("DOCKER-10, SYS-12"),
    )
    absent: tuple[tuple[str, ...], ...] = Field(
        default=(), description="Key paths that must not be there.", json_schema_extra=about("section 3")
    )
    create: bool = Field(
        default=True, description="Create the file where it is missing.", json_schema_extra=about("DOCKER-07")
    )
    mode: FileMode = Field(
        default="0644", description="Permissions of a created file.", json_schema_extra=about("section 3")
    )
    validate_with: Argv | None = Field(
        default=None,
        description="Command that must accept the merged file before it replaces the old; `%s` is the temporary file.",
        json_schema_extra=about("section 3"),
    )

    @model_validator(mode="after")
    def _nothing_gets_lost(self) -> Self:
        if nulls := [".".join(("values", *path)) for path in _nulls(self.values)]:
            message = (
                f"{', '.join(nulls)} {'is' if len(nulls) == 1 else 'are'} null, which would get lost on its way to the "
                "host: list the key path in `absent` if it must not be there, otherwise give it a value"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _ini_is_flat(self) -> Self:
        if self.format != "ini":
            return self
        for section, keys in self.values.items():
            if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
                message = f"values.{section} must map keys to texts: an INI file has nothing deeper"
                raise ValueError(message)
            for key, value in keys.items():
                if any(sign < " " for sign in f"{section}{key}{value}"):
                    message = f"values.{section}.{key} holds a control character, which would begin another line"
                    raise ValueError(message)
        return self


def _nulls(value: JsonValue) -> Iterator[tuple[str, ...]]:
    """Yield the paths of maps' keys without a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        if each is None and isinstance(value, dict):
            yield (str(key),)
        yield from ((str(key), *rest) for rest in _nulls(each))


class DownloadArgs(_Owned):
    """A file that the host fetches itself; kept when its checksum is right."""

    url: HttpUrl | None = Field(default=None, description="Where it is.", json_schema_extra=about("CM5-107"))
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="Its SHA-256.", json_schema_extra=about("CM5-107")
    )
    mode: FileMode = Field(default="0644", description="Permissions.", json_schema_extra=about("section 3"))
    timeout: int = Field(
        default=300, ge=1, description="Longest time.", json_schema_extra=about("section 3", unit="seconds")
    )

    @model_validator(mode="after")
    def _source_is_given(self) -> Self:
        if self.state is State.PRESENT and (self.url is None or self.sha256 is None):
            raise ValueError("a download needs url and sha256: add what is missing")
        return self
