"""Requests to the Vault of a stack, for what the engine can neither tell nor do."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

from cli.decrypted import decrypted
from cli.errors import CommandError
from cli.session import Session
from stacks.settings import SettingsError
from stacks.settings.access import VaultAccess, access, operator_file
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
        try:
            answer = httpx.request(
                method,
                f"{connection.address}/v1/{path}",
                headers={"X-Vault-Token": self.access.token},
                verify=self._trust(),
                timeout=seconds,
                trust_env=False,
            )
            if answer.status_code != httpx.codes.NOT_FOUND:
                answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise CommandError(f"Vault refuses {method} {path}: HTTP {error.response.status_code}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CommandError(f"Vault at {connection.address} does not answer: {error}") from error
        try:
            data: dict[str, Any] | None = answer.json().get("data") if answer.content else None
        except (ValueError, AttributeError) as error:
            what = answer.headers.get("content-type", "something without a content type")
            rule = f"what answers {method} {path} at {connection.address} is not Vault: it sends {what}, no JSON object"
            raise CommandError(f"{rule}; look for a proxy in between, and at `factory:vault.address`") from error
        return None if answer.status_code == httpx.codes.NOT_FOUND else data

    def _trust(self) -> ssl.SSLContext:
        file = self.access.connection.ca_cert_file
        if file is None:
            return ssl.create_default_context()
        path = operator_file(file)
        try:
            return ssl.create_default_context(cafile=path)
        except OSError as error:  # an unreadable file; also what is no certificate
            why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise CommandError(f"factory:vault.ca_cert_file: {path}: {why}; name a PEM file") from error
