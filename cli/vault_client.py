"""Requests to the Vault of a stack, for what the engine can neither tell nor do."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

from cli.decrypted import decrypted
from cli.errors import CommandError
from cli.session import Session
from stacks.settings import SettingsError
from stacks.settings.access import VaultAccess, access
from stacks.settings.endpoints import read_endpoints
from stacks.settings.schema import Settings


@dataclass(frozen=True)
class VaultClient:
    """A Vault server and the token of the stack's provider."""

    access: VaultAccess

    @classmethod
    def of(cls, session: Session, settings: Settings) -> VaultClient:
        """Reach Vault as the program does. Raises CommandError, also when the secrets cannot be decrypted."""
        endpoints = read_endpoints(session.environment) if session.stack.embedded else None
        credentials: dict[str, str] = {}
        if settings.vault is not None:
            credentials = decrypted(session, "credentials")
        try:
            found = access(settings, frozenset({"vault"}), credentials, endpoints).vault
        except SettingsError as error:
            raise CommandError(str(error)) from error
        if found is None:
            raise CommandError(f"stack {session.stack.name!r} has no connection to Vault")
        return cls(found)

    def read(self, path: str) -> dict[str, Any] | None:
        """Return the data at a path, None where there is nothing. Raises CommandError."""
        return self.request("GET", path)

    def request(self, method: str, path: str, *, seconds: float = 10) -> dict[str, Any] | None:
        """Return the data of an answer, None where there is nothing. Raises CommandError, also after `seconds`."""
        import httpx  # noqa: PLC0415 - slow to import, and most runs do not ask

        connection = self.access.connection
        trust = ssl.create_default_context(cafile=connection.ca_cert_file)
        try:
            answer = httpx.request(
                method,
                f"{connection.address}/v1/{path}",
                headers={"X-Vault-Token": self.access.token},
                verify=trust,
                timeout=seconds,
                trust_env=False,
            )
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise CommandError(f"Vault refuses {method} {path}: HTTP {error.response.status_code}") from error
        except httpx.HTTPError as error:
            raise CommandError(f"Vault at {connection.address} does not answer: {error}") from error
        data: dict[str, Any] | None = answer.json().get("data") if answer.content else None
        return data
