"""What a host's desired document says about packages, users and the kernel."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import Model, about
from .args_values import AbsolutePath, Line, State, Stateful

__all__ = [
    "AuthorizedKeysArgs",
    "GroupArgs",
    "ModuleArgs",
    "MountArgs",
    "PackageArgs",
    "RepositoryArgs",
    "SysctlArgs",
    "UserArgs",
]

Word = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]+$")]
"""Text without white space."""

PublicKey = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=16)]
"""One line of an ``authorized_keys`` file."""


class PackageArgs(Stateful):
    """A Debian package."""

    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.+:~-]+$")] | None = Field(
        default=None,
        description="Exact version. Default: any installed version is right, the candidate is installed.",
        json_schema_extra=about("section 3"),
    )
    hold: bool | None = Field(
        default=None,
        description="Whether upgrades leave it alone; without a value the mark stays as it is.",
        json_schema_extra=about("section 3"),
    )


class RepositoryArgs(Stateful):
    """A repository of packages with the one key that may sign it."""

    uris: tuple[Word, ...] = Field(default=(), description="Where it is.", json_schema_extra=about("section 3"))
    suites: tuple[Word, ...] = Field(
        default=(), description="Suites, or exact paths ending in a slash.", json_schema_extra=about("section 3")
    )
    components: tuple[Word, ...] = Field(
        default=(), description="Components; none for an exact path.", json_schema_extra=about("section 3")
    )
    architectures: tuple[Word, ...] = Field(
        default=(), description="Architectures. Default: the host's.", json_schema_extra=about("section 3")
    )
    signing_key: str | None = Field(
        default=None,
        pattern=r"^-----BEGIN PGP PUBLIC KEY BLOCK-----(?s:.)+$",
        description="The public key, armoured.",
        json_schema_extra=about("section 3"),
    )
    trusted: bool = Field(
        default=False,
        description="Accept the repository without a signature; for a directory on the host itself.",
        json_schema_extra=about("section 3"),
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.state is State.ABSENT:
            return self
        if not self.uris or not self.suites:
            raise ValueError("a repository needs uris and suites: add what is missing")
        if (self.signing_key is None) is not self.trusted:
            raise ValueError("a repository needs either signing_key or trusted: add the key that signs it")
        return self


class GroupArgs(Stateful):
    """A group."""

    gid: int | None = Field(
        default=None, ge=0, le=4294967294, description="Its number.", json_schema_extra=about("section 3")
    )
    system: bool = Field(
        default=False, description="Number from the system's range, on creation.", json_schema_extra=about("section 3")
    )


class UserArgs(Stateful):
    """A user. A field without a value stays as it is."""

    uid: int | None = Field(
        default=None, ge=0, le=4294967294, description="Its number.", json_schema_extra=about("section 3")
    )
    group: Word | None = Field(default=None, description="Primary group.", json_schema_extra=about("section 3"))
    groups: tuple[Word, ...] = Field(
        default=(), description="Further groups; others that it has stay.", json_schema_extra=about("SYS-02")
    )
    home: AbsolutePath | None = Field(default=None, description="Home.", json_schema_extra=about("section 3"))
    create_home: bool = Field(
        default=True, description="Create the home, on creation.", json_schema_extra=about("section 3")
    )
    shell: AbsolutePath | None = Field(default=None, description="Shell.", json_schema_extra=about("section 3"))
    comment: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f:]*$")] | None = Field(
        default=None, description="Full name.", json_schema_extra=about("section 3")
    )
    system: bool = Field(
        default=False, description="Number from the system's range, on creation.", json_schema_extra=about("section 3")
    )


class AuthorizedKeysArgs(Model):
    """Who may log in as a user."""

    keys: dict[str, PublicKey] = Field(
        default={}, description="Lines of the file by a name of ours.", json_schema_extra=about("section 3")
    )
    exclusive: bool = Field(default=False, description="Remove every other line.", json_schema_extra=about("section 3"))


class SysctlArgs(Stateful):
    """A kernel parameter, now and after each start."""

    value: Line | None = Field(default=None, min_length=1, description="Value.", json_schema_extra=about("section 3"))

    @model_validator(mode="after")
    def _value_is_given(self) -> Self:
        if self.state is State.PRESENT and self.value is None:
            raise ValueError("a kernel parameter needs its value: add value")
        return self


class ModuleArgs(Stateful):
    """A kernel module, loaded now and at each start (SYS-13)."""


class MountArgs(Stateful):
    """A line of ``/etc/fstab`` and the mount itself; its directory is created. The device is never formatted."""

    source: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^((LABEL|UUID|PARTLABEL|PARTUUID)=[^\s\x00-\x1f\x7f]+|tmpfs|/[^\x00-\x1f\x7f]*|[^\s:/\x00-\x1f\x7f]+:/[^\x00-\x1f\x7f]*)$"
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="`LABEL=` or `UUID=` of a file system, a directory (bind), `server:/path` (NFS) or `tmpfs`.",
        json_schema_extra=about("SYS-05, SYS-06"),
    )
    fstype: Word = Field(default="auto", description="Type of the file system.", json_schema_extra=about("SYS-06"))
    options: tuple[Annotated[str, StringConstraints(pattern=r"^[^\s,\x00-\x1f\x7f]+$")], ...] = Field(
        default=("defaults",), description="Mount options.", json_schema_extra=about("SYS-06")
    )
    nofail: bool = Field(
        default=True, description="The host starts also without the device.", json_schema_extra=about("section 3")
    )
    mounted: bool = Field(default=True, description="Mount it now.", json_schema_extra=about("SYS-06"))
    check_order: Literal[0, 1, 2] = Field(
        default=0,
        description="Turn of the file system's check at start; 0: none.",
        json_schema_extra=about("section 3"),
    )

    @model_validator(mode="after")
    def _source_is_stable(self) -> Self:
        if self.state is State.ABSENT:
            return self
        if self.source is None:
            raise ValueError("a mount needs its source: add source")
        if self.source.startswith("/") and "bind" not in self.options:
            message = f"source {self.source!r} may name another device after a start: use LABEL= or UUID= (or bind)"
            raise ValueError(message)
        return self
