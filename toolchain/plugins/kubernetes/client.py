"""HTTP to one API server. Safe to use from many threads."""

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import httpx

from toolchain.plugins.kit import ProviderError

from .kubeconfig import Access, User, decode

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object, or any other JSON document of the API server."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 32.0
DOWN_SECONDS = 10.0
"""How long an unreachable server is taken for unreachable without a new try: a run of many resources fails at once."""
_ATTEMPTS = 4


class UnreachableError(ProviderError):
    """No answer from the API server."""


class Cause(NamedTuple):
    """One reason of a refusal: its kind, the field (may be empty), and a sentence."""

    reason: str
    field: str
    message: str


class ApiError(ProviderError):
    """The API server refused a request."""

    def __init__(self, status: int, reason: str, message: str, causes: list[Cause], about: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.about = about
        """The kind (plural) of the object which the refusal is about; a quota's, where that was in the way."""
        self.message = message
        self.causes = causes

    @property
    def conflicts(self) -> list[Cause]:
        """The fields which other managers own, if that is why an apply was refused."""
        return [cause for cause in self.causes if cause.reason == "FieldManagerConflict"]


class Client:
    """Requests to the API server of one kubeconfig context.

    Raises :class:`UnreachableError` within seconds if there is no answer, :class:`ApiError` for a refusal.
    """

    def __init__(
        self,
        access: Access,
        *,
        timeout: float = REQUEST_SECONDS,
        rate: "Rate | None" = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        cluster = access.cluster
        self.server = cluster.server
        self._access = access
        self._rate = rate
        self._extensions = {"sni_hostname": cluster.tls_server_name} if cluster.tls_server_name else {}
        self._down: tuple[float, str] = (0.0, "")
        # The environment's proxies and netrc are not ours to use: what the kubeconfig says is all there is.
        self._http = httpx.Client(
            base_url=cluster.server,
            verify=_tls(access),
            auth=_Credentials(access.user),
            headers=_impersonation(access.user),
            timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
            proxy=cluster.proxy_url,
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Object:
        """Read a document."""
        return self.request("GET", path, params)

    def find(self, path: str, params: Mapping[str, str] | None = None) -> Object | None:
        """Read a document, or None if there is none."""
        try:
            return self.request("GET", path, params)
        except ApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        *,
        content_type: str = "application/json",
        warn: Callable[[str], None] | None = None,
    ) -> Object:
        """Send one request and return the document of the answer; ``warn`` gets the server's deprecation warnings."""
        content = json.dumps(body).encode() if body is not None else None
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if content is not None else {})
        for attempt in range(1, _ATTEMPTS + 1):
            response = self._send(method, path, params, content, headers)
            if not _asks_for_patience(response) or attempt == _ATTEMPTS:
                break
            time.sleep(_patience(response))
        if warn is not None:
            for header in response.headers.get_list("warning"):
                warn(_warning(header))
        return self._document(response)

    def _send(
        self, method: str, path: str, params: Mapping[str, str] | None, content: bytes | None, headers: dict[str, str]
    ) -> httpx.Response:
        until, reason = self._down
        if time.monotonic() < until:
            raise UnreachableError(reason)
        if self._rate is not None:
            self._rate.wait()
        try:
            return self._http.request(
                method, path, params=params, content=content, headers=headers, extensions=self._extensions
            )
        except httpx.LocalProtocolError:
            # Its text repeats the header, which may be the token.
            raise ProviderError(
                f"The token or the name of the kubeconfig's user (context {self._access.context!r}) holds a character "
                "which no HTTP header can, such as a line break."
            ) from None
        except (httpx.TransportError, OSError) as error:
            message = (
                f"The Kubernetes API server {self.server} (context {self._access.context!r}) cannot be reached: "
                f"{_why(error)}. Check that the cluster runs and that the kubeconfig is right."
            )
            # A slow answer to one request says nothing about the next one.
            if not isinstance(error, httpx.ReadTimeout):
                self._down = (time.monotonic() + DOWN_SECONDS, message)
            raise UnreachableError(message) from None

    def _document(self, response: httpx.Response) -> Object:
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            document = {"message": f"HTTP {response.status_code} {response.reason_phrase} without a document"}
            if response.is_success:
                raise ApiError(response.status_code, "", f"{self.server} does not answer as an API server does.", [])
        if response.is_success:
            return document
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise ProviderError(
                f"The Kubernetes API server {self.server} does not accept the credentials of the kubeconfig "
                f"(context {self._access.context!r})."
            )
        details = document.get("details") or {}
        causes = details.get("causes") or []
        raise ApiError(
            response.status_code,
            str(document.get("reason", "")),
            str(document.get("message") or f"HTTP {response.status_code}"),
            [Cause(c.get("reason", ""), c.get("field", ""), c.get("message", "")) for c in causes],
            str(details.get("kind", "")),
        )


class Rate:
    """At most ``burst`` requests at once and ``qps`` per second after that (the SDK's ``kubeClientSettings``)."""

    def __init__(self, qps: float, burst: int) -> None:
        self._interval = 1.0 / qps
        self._tolerance = self._interval * max(burst, 1)
        self._due = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Sleep until the next request may start."""
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now) + self._interval
            delay = self._due - now - self._tolerance
        if delay > 0:
            time.sleep(delay)


class _Credentials(httpx.Auth):
    """The token, read again from its file for each request because such tokens are rotated, or the password."""

    def __init__(self, user: User) -> None:
        self._user = user

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        user = self._user
        token = user.token
        if user.tokenFile:
            try:
                token = Path(user.tokenFile).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ProviderError(f"The token file {user.tokenFile} cannot be read: {error.strerror}.") from None
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
            yield request
        elif user.username is not None:
            yield from httpx.BasicAuth(user.username, user.password or "").auth_flow(request)
        else:
            yield request


def _impersonation(user: User) -> list[tuple[str, str]]:
    headers = [("Impersonate-User", user.impersonate)] if user.impersonate else []
    headers += [("Impersonate-Uid", user.impersonate_uid)] if user.impersonate_uid else []
    return headers + [("Impersonate-Group", group) for group in user.impersonate_groups]


def _tls(access: Access) -> ssl.SSLContext:
    cluster, user = access.cluster, access.user
    try:
        # An authority that is named is the only one, as other clients have it: not the system's as well.
        if cluster.certificate_authority_data:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            pem = decode(cluster.certificate_authority_data, "certificate-authority-data")
            context.load_verify_locations(cadata=pem)
        elif cluster.certificate_authority:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cafile=cluster.certificate_authority)
        else:
            context = ssl.create_default_context()
        if cluster.insecure_skip_tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if user.client_certificate or user.client_certificate_data:
            _load_client_certificate(context, user)
    except (OSError, ssl.SSLError) as error:
        raise ProviderError(f"Certificates of the kubeconfig's context {access.context!r}: {_why(error)}.") from None
    return context


def _load_client_certificate(context: ssl.SSLContext, user: User) -> None:
    with (
        _readable(user.client_certificate_data, "client-certificate-data", user.client_certificate) as certificate,
        _readable(user.client_key_data, "client-key-data", user.client_key) as key,
    ):
        context.load_cert_chain(certificate, key)


@contextmanager
def _readable(data: str | None, key: str, path: str | None) -> Iterator[str]:
    """Yield a path under which OpenSSL can read the PEM; inline data stays in memory, never in a temporary file."""
    if not data:
        if not path:
            raise ProviderError(f"The kubeconfig has a client certificate but no `{key}`.")
        yield path
        return
    if not hasattr(os, "memfd_create"):
        raise ProviderError(f"`{key}` needs Linux (memfd_create); name a file in the kubeconfig instead.")
    descriptor = os.memfd_create(key)
    try:
        os.write(descriptor, decode(data, key).encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _why(error: Exception) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    return str(error).rstrip(".") or type(error).__name__


def _asks_for_patience(response: httpx.Response) -> bool:
    """Whether the server is overloaded, or starts or stops and says when to ask again, or many use up one quota."""
    if response.status_code == httpx.codes.CONFLICT:
        return b'"kind":"resourcequotas"' in response.content.replace(b" ", b"")
    busy = response.status_code == httpx.codes.TOO_MANY_REQUESTS
    return busy or (response.is_server_error and "retry-after" in response.headers)


def _patience(response: httpx.Response) -> float:
    try:
        return min(float(response.headers.get("retry-after", "1")), 5.0)
    except ValueError:
        return 1.0


def _warning(header: str) -> str:
    # RFC 7234: `299 - "text"`
    return header.split('"', 1)[1].rsplit('"', 1)[0].replace('\\"', '"') if header.count('"') > 1 else header
