"""The hub's HTTP interface, as far as it is documented: registering a gateway, and the gateway's own heartbeat.

There is no documented way to read or to remove a registration. Whether the hub knows a gateway is therefore asked as
the gateway itself asks: by a heartbeat with its token (CM5-194), which registers nothing.
"""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Answer", "Hub", "HubError", "Identity", "Known", "Send", "SilentError", "https"]

_REGISTER: Final = "/api/portal/admin/gateways/register"
_HEARTBEAT: Final = "/api/gateway/heartbeat"
_SECONDS: Final = 15
_SHOWN: Final = 200
_DONE: Final = range(200, 300)
_REFUSED: Final = (401, 403)
_CONFLICT: Final = 409
_INVALID: Final = (400, 422)
"""The hub judges the content of a heartbeat after its token."""


class HubError(Exception):
    """The hub does not do what is asked: one sentence without secrets, with what to do."""


class SilentError(HubError):
    """The hub does not answer."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the gateway is; the hub wants all of it (CM5-193)."""

    gateway_id: str
    machine_id: int
    eth0_mac: str
    eth1_mac: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    text: str


Send = Callable[[str, Mapping[str, str], bytes], Answer]
"""Posts a body with headers to an address. Raises OSError or HTTPException where nothing answers as the web does."""


class Known(StrEnum):
    """Whether the hub knows a gateway with its token."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


class Hub:
    """One hub."""

    def __init__(self, url: str, send: Send | None = None) -> None:
        """Reach the hub at ``url``, which begins with https (CM5-192)."""
        self._url = url.rstrip("/")
        self._send = send or https

    def register(self, identity: Identity, token: str, admin_token: str) -> None:
        """Register the gateway. One that is registered so already is no error. Raises HubError."""
        body = {
            "gateway_id": identity.gateway_id,
            "token": token,
            "machine_id": identity.machine_id,
            "eth0_mac": identity.eth0_mac,
            "eth1_mac": identity.eth1_mac,
        }
        answer = self._post(_REGISTER, {"Authorization": f"Bearer {admin_token}"}, body)
        if answer.status in _DONE:
            return
        if answer.status == _CONFLICT and self.knows(identity, token) is Known.YES:
            return
        raise HubError(f"{self._url} does not register {identity.gateway_id}: {_reason(answer, token, admin_token)}")

    def knows(self, identity: Identity, token: str) -> Known:
        """Ask as the gateway would; some answers leave it unclear.

        Raises SilentError where nothing answers, HubError for a token that cannot be sent.
        """
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Gateway-ID": identity.gateway_id,
            "X-Gateway-Eth0-MAC": identity.eth0_mac,
            "X-Gateway-Eth1-MAC": identity.eth1_mac,
        }
        status = self._post(_HEARTBEAT, headers, {}).status
        if status in _REFUSED:
            return Known.NO
        return Known.YES if status in _DONE or status in _INVALID else Known.UNCLEAR

    def _post(self, path: str, headers: Mapping[str, str], body: Mapping[str, object]) -> Answer:
        all_headers = {"Content-Type": "application/json", **headers}
        try:
            return self._send(f"{self._url}{path}", all_headers, json.dumps(body).encode())
        except ValueError:
            # Python's own words hold the header, and with it the token.
            message = f"the hub {self._url} is not asked: a token holds a line end, or a character that no header can"
            raise HubError(message) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error or type(error).__name__
            message = f"the hub {self._url} does not answer: {reason}"
            raise SilentError(message) from None


def https(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Post over TLS. A redirect is an answer and is not followed: the token is for this address alone."""
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    opener = urllib.request.build_opener(*handlers, _NoRedirects)
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310 - https is checked where the address is given
    try:
        with opener.open(request, timeout=_SECONDS) as response:
            return Answer(response.status, response.read(_SHOWN).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(_SHOWN).decode("utf-8", "replace"))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _reason(answer: Answer, *secrets: str) -> str:
    """Say what the hub said, without what it may repeat of the request."""
    known = {
        401: "the admin token is not valid or has expired: set a fresh one",
        403: "the admin token may not register gateways: use an administrator's",
        404: "it has no such route: is this version of the hub deployed? (CM5-199)",
        405: "it has no such route: is this version of the hub deployed? (CM5-199)",
        _CONFLICT: "it knows the gateway with another token: give that one, or remove the gateway in the portal",
    }
    said = answer.text.strip()
    for secret in secrets:
        said = said.replace(secret, "***")
    words = known.get(answer.status, said or "it says nothing")
    return f"HTTP {answer.status}: {words}"
