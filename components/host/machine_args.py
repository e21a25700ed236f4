"""A machine of a site: how it is reached, the roles it has, and what to verify on it."""

from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import Model, about
from .args import HostStateArgs
from .args_values import AbsolutePath, ItemName
from .checks import HostCheck
from .remote_host import RemoteHost, Sudo

__all__ = ["LOGIN_SECRETS", "MachineArgs"]

SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

LOGIN_SECRETS: Final = ("private_key", "passphrase", "sudo_password")
"""The secrets of a machine that open it; all others are contents of its files."""


class MachineArgs(Model):
    """One machine. Roles do not wait for each other: what must come first belongs into the same role."""

    connection: RemoteHost | None = Field(
        default=None,
        description="How it is reached. Absent only on embedded backends: the running sandbox stands for it.",
        json_schema_extra=about("section 3"),
    )
    roles: dict[ItemName, HostStateArgs] = Field(
        description="What it shall be, each role under its name.", min_length=1, json_schema_extra=about("section 3")
    )
    contents: dict[AbsolutePath, SecretName] = Field(
        default={},
        description="Files of its roles whose content is a secret: path to name below `factory:host_secrets`.",
        json_schema_extra=about("section 3"),
    )
    checks: dict[ItemName, HostCheck] = Field(
        default={},
        description="What to verify, beside what follows from the roles: `./factory doctor hosts`.",
        json_schema_extra=about("section 3"),
    )

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets it cannot do without."""
        login = {"sudo_password"} if self.connection and self.connection.sudo is Sudo.PASSWORD else set[str]()
        return frozenset(login | set(self.contents.values()))

    def contents_of(self, role: str) -> dict[str, str]:
        """Give the secret contents of a role's files: path to name of the secret."""
        return {path: name for path, name in self.contents.items() if path in self.roles[role].files}

    @model_validator(mode="after")
    def _secret_contents_have_their_files(self) -> Self:
        for path, name in self.contents.items():
            files = [role.files[path] for role in self.roles.values() if path in role.files]
            if not files:
                message = f"contents names {path!r}, which is a file of no role: add it to a role's files, or remove it"
                raise ValueError(message)
            if not all(file.secret and file.content is None and file.content_base64 is None for file in files):
                message = f"the file {path!r} takes its content from {name}: give it `secret: true` and no content"
                raise ValueError(message)
            if name in LOGIN_SECRETS:
                message = f"{name!r} opens the machine and is the content of no file: choose another name"
                raise ValueError(message)
        return self
