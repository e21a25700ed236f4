"""A Proxmox cluster over its HTTP API, by proxmoxer, with a token and a server that is always verified."""

import re
import ssl
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar

import requests
from proxmoxer.backends.https import Backend
from proxmoxer.core import ProxmoxResource, ResourceException
from requests.adapters import HTTPAdapter

from .args_proxmox import ProxmoxConnection
from .proxmox import Guest, Notes, RefusedError, UnreachableError, failure, guests_of, notes_of

__all__ = ["ProxmoxClient"]

CONNECTIONS: Final = 8
"""Connections kept open: as many as requests are made at once."""
_SENDABLE: Final = re.compile(r"[\x21-\x7e]*")
_Answer = TypeVar("_Answer")


class _Verified(HTTPAdapter):
    """Trusts the pinned fingerprint or the given authority, and nothing that the environment names."""

    def __init__(self, connection: ProxmoxConnection) -> None:
        self._trust: dict[str, Any] = {}
        if connection.fingerprint is not None:
            self._trust = {"cert_reqs": "CERT_NONE", "assert_fingerprint": connection.fingerprint.replace(":", "")}
        else:
            context = ssl.create_default_context(cadata=connection.ca_pem)
            self._trust = {"cert_reqs": "CERT_REQUIRED", "ssl_context": context}
        super().__init__(pool_maxsize=CONNECTIONS)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:  # noqa: ANN401 - as in requests
        """Use this trust for every pool of connections, whatever the session says."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, dict(self._trust)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ANN401 - as in requests
        """Leave the pool as it was made; requests would add its own authorities here."""


class ProxmoxClient:
    """One cluster. Safe to use from several threads at once."""

    def __init__(self, connection: ProxmoxConnection, token_secret: str) -> None:
        """Prepare; nothing is asked yet. Raises RefusedError for a secret that no header can hold."""
        if not _SENDABLE.fullmatch(token_secret):
            # Later, Python's own words would hold the header, and with it the secret.
            message = f"the secret of {connection.token_id} holds a blank, a line end or the like: set it without"
            raise RefusedError(message)
        self._name = connection.endpoint
        user, _, token = connection.token_id.partition("!")
        backend = Backend(
            host=connection.host,
            port=connection.port,
            user=user,
            token_name=token,
            token_value=token_secret,
            timeout=connection.timeout_seconds,
        )
        session = backend.get_session()
        # Neither proxies, nor authorities, nor a .netrc of the operator's shell; and no redirect takes the token along.
        session.trust_env = False
        session.max_redirects = 0
        session.mount("https://", _Verified(connection))
        self._session = session
        self._api = ProxmoxResource(
            base_url=backend.get_base_url(), session=session, serializer=backend.get_serializer()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._session.close()

    def guests(self) -> list[Guest]:
        """List every guest that the token may see, on every node (TPX-123)."""
        where = f"the guests of {self._name}"
        return guests_of(self._call(where, lambda: self._api.get("cluster", "resources", type="vm")), where)

    def notes(self, guest: Guest) -> Notes:
        """Read the notes of a guest (TPX-113)."""
        where = f"the notes of {guest}"
        return notes_of(self._call(where, lambda: self._api.get(*_config(guest))), where)

    def write_notes(self, guest: Guest, text: str, digest: str) -> None:
        """Replace the notes of a guest (TPX-115), or delete them if the text is empty (TPX-135)."""
        change = {"description": text} if text else {"delete": "description"}
        self._call(f"writing the notes of {guest}", lambda: self._api.put(*_config(guest), digest=digest, **change))

    def _call(self, where: str, request: Callable[[], _Answer]) -> _Answer:
        try:
            return request()
        except ResourceException as error:
            raise failure(error.status_code, str(error.content or ""), error.errors, where) from None
        except requests.exceptions.Timeout:
            raise UnreachableError(f"{where}: {self._name} did not answer in time") from None
        except requests.exceptions.SSLError as error:
            raise UnreachableError(f"{where}: {self._name} is not the server that is trusted: {_why(error)}") from None
        except requests.exceptions.TooManyRedirects:
            raise UnreachableError(f"{where}: {self._name} redirects elsewhere: give the API's own address") from None
        except (requests.exceptions.RequestException, OSError) as error:
            raise UnreachableError(f"{where}: {self._name} cannot be reached: {_why(error)}") from None
        except (KeyError, TypeError, AttributeError):
            # proxmoxer takes an answer for an object with `data` that it is not.
            raise UnreachableError(f"{where}: {self._name} answers, but not as a Proxmox API does") from None


def _config(guest: Guest) -> tuple[str, ...]:
    return ("nodes", guest.node, guest.kind.value, str(guest.vmid), "config")


def _why(error: Exception) -> str:
    """Say the innermost reason; requests and urllib3 wrap it in their own names and addresses."""
    inner: BaseException = error
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    return " ".join(str(inner).split()) or type(inner).__name__
