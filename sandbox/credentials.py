"""Passwords the supervisor generates: made once, kept in a file of mode 0600."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.errors import SandboxError
from sandbox.files import write_private

_BYTES = 24


class Credentials(BaseModel):
    """The passwords of the roles that exist before any stack does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    postgres: str = Field(repr=False, min_length=1)
    pgbouncer_auth: str = Field(repr=False, min_length=1)


def load_or_make(path: Path, data: Path) -> Credentials:
    """Read the passwords, generating them the first time, which is before `data` exists.

    Raises `SandboxError` when the file is damaged, or missing beside data that it alone opens.
    """
    if not path.exists() and not data.exists():
        made = Credentials(postgres=secrets.token_urlsafe(_BYTES), pgbouncer_auth=secrets.token_urlsafe(_BYTES))
        write_private(path, made.model_dump_json().encode() + b"\n")
        return made
    try:
        return Credentials.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SandboxError(
            f"{path} is missing or damaged, and nothing else opens {data}: restore it, or ./factory sandbox reset"
        ) from error
