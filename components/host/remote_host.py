"""How a machine is reached. Plain values only; its secrets are :class:`.credentials.Credentials`."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints

from ..model import Model, OperatorPath, Port, Seconds, about
from .public_key import PublicKey

__all__ = ["DEFAULT_PORT", "JumpHost", "RemoteHost", "Sudo"]

DEFAULT_PORT: Final = 22
_SOURCE: Final = "design 3"

Address = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:%-]+$", max_length=253)]
"""A DNS name, an IP address, or a host alias of the SSH configuration file."""

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@\\-]+\$?$", max_length=64)]
"""A login name."""


def _none_is_empty(given: object) -> object:
    return "" if given is None else given


ConfigFile = Annotated[str, BeforeValidator(_none_is_empty), StringConstraints(pattern=r"^((/|~/)[^\x00\n]+)?$")]
"""A file, or none as an empty path: what is null gets lost on its way through the engine, and the default is a file."""

Prefix = Annotated[str, StringConstraints(pattern=r"^/[^\x00\n]*$")]


class Sudo(StrEnum):
    """How the login user becomes root there."""

    NONE = "none"
    """Not at all: the user is root already, or may do what is asked."""
    PASSWORDLESS = "passwordless"
    PASSWORD = "password"  # noqa: S105 - the name of a way, not a password
    """With the password of the credentials, handed over on standard input."""


class JumpHost(Model):
    """A host on the way, with a pinned key of its own. The login is the one of the machine behind it."""

    address: Address = Field(description="DNS name or IP address.", json_schema_extra=about(_SOURCE))
    port: Port = Field(default=DEFAULT_PORT, description="TCP port.", json_schema_extra=about(_SOURCE))
    user: UserName = Field(description="Login name.", json_schema_extra=about(_SOURCE))
    host_key: PublicKey = Field(
        description="Its public key; any other key is refused.", json_schema_extra=about(_SOURCE)
    )


class RemoteHost(Model):
    """A machine reached over SSH. Its key is always pinned; what is not given comes from the SSH configuration file."""

    address: Address = Field(
        description="DNS name, IP address, or an alias of the SSH configuration file.", json_schema_extra=about(_SOURCE)
    )
    port: Port | None = Field(
        default=None,
        description="TCP port; else the SSH configuration file's, else 22.",
        json_schema_extra=about(_SOURCE),
    )
    user: UserName | None = Field(
        default=None,
        description="Login name; else the SSH configuration file's, else the operator's own.",
        json_schema_extra=about(_SOURCE),
    )
    host_key: PublicKey = Field(
        description="The host's public key, verified out of band; `./factory host-key scan ADDRESS` shows it.",
        json_schema_extra=about(_SOURCE),
    )
    identity_file: OperatorPath | None = Field(
        default=None,
        description="Private key on the operator's machine, or the public half of a key which an agent holds.",
        json_schema_extra=about(_SOURCE),
    )
    agent_socket: OperatorPath | None = Field(
        default=None,
        description="Socket of the SSH agent; else the SSH configuration file's, else SSH_AUTH_SOCK.",
        json_schema_extra=about(_SOURCE),
    )
    jump_hosts: tuple[JumpHost, ...] = Field(
        default=(),
        description="Hosts to go through, nearest first; they replace a ProxyJump of the SSH configuration file.",
        json_schema_extra=about(_SOURCE),
    )
    ssh_config: ConfigFile = Field(
        default="~/.ssh/config",
        description="SSH configuration file of the operator; null for none. One that does not exist is none.",
        json_schema_extra=about(_SOURCE),
    )
    sudo: Sudo = Field(
        default=Sudo.NONE, description="How the login user becomes root.", json_schema_extra=about(_SOURCE)
    )
    python: str = Field(
        default="python3",
        pattern=r"^[A-Za-z0-9_./-]+$",
        description="Python interpreter on the host, 3.9 or newer.",
        json_schema_extra=about(_SOURCE),
    )
    root: Prefix = Field(
        default="/",
        description="Every managed path lies below this directory; for unprivileged use.",
        json_schema_extra=about(_SOURCE),
    )
    connect_timeout: Seconds = Field(
        default=10,
        description="How long one attempt to connect may take.",
        json_schema_extra=about(_SOURCE, unit="seconds"),
    )
    silence_timeout: Seconds = Field(
        default=45,
        description="A host which answers nothing for this long is lost.",
        json_schema_extra=about(_SOURCE, unit="seconds"),
    )

    @property
    def place(self) -> str:
        """How messages name the host: as it is written, with a port that is not the usual one."""
        return self.address if self.port in {None, DEFAULT_PORT} else f"{self.address}:{self.port}"

    @property
    def identity(self) -> tuple[str, int, str]:
        """What makes two descriptions mean one machine: address, port and root."""
        return (self.address.lower(), self.port or DEFAULT_PORT, self.root.rstrip("/"))
