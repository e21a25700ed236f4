"""A hub of gateways on loopback, over TLS: registrations by an administrator, heartbeats by gateways."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sandbox.certificates import Authority
from tests.support.web_servers import serving

__all__ = ["ADMIN", "Hub", "hub"]

ADMIN = "admin-jwt-of-the-hub"


@dataclass
class Hub:
    """What the hub knows, and everything it was asked."""

    url: str
    authority: Path
    """The certificate to trust it by."""
    registered: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and result of each request, the heartbeats too."""
    says: int | None = None
    """What it answers instead, whatever is asked."""
    conflicts: bool = False
    """Whether it refuses to register a gateway twice."""

    @property
    def writes(self) -> int:
        """How often something was registered, or tried to be."""
        return sum(path.endswith("/register") for path, _ in self.requests)

    def answer(self, path: str, headers: Any, body: dict[str, Any]) -> tuple[int, str]:
        """Answer one request as the documented interface does."""
        if self.says is not None:
            return self.says, f"it says {self.says}: {json.dumps(body)}"
        bearer = str(headers.get("Authorization", "")).removeprefix("Bearer ")
        if path == "/api/portal/admin/gateways/register":
            return self._register(bearer, body)
        return self._heartbeat(bearer, headers) if path == "/api/gateway/heartbeat" else (404, "no such route")

    def _register(self, bearer: str, body: dict[str, Any]) -> tuple[int, str]:
        keys = {"gateway_id", "token", "machine_id", "eth0_mac", "eth1_mac"}
        if bearer != ADMIN:
            return 401, "invalid token"
        if body.keys() != keys or not all(str(body[key]) for key in keys):
            return 400, "the identity is not whole"
        if self.conflicts and body["gateway_id"] in self.registered:
            return 409, "already registered"
        self.registered[body["gateway_id"]] = body
        return 201, "{}"

    def _heartbeat(self, bearer: str, headers: Any) -> tuple[int, str]:
        known = self.registered.get(str(headers.get("X-Gateway-ID")), {})
        macs = (headers.get("X-Gateway-Eth0-MAC"), headers.get("X-Gateway-Eth1-MAC"))
        right = known and known["token"] == bearer and (known["eth0_mac"], known["eth1_mac"]) == macs
        return (200, "{}") if right else (401, "unknown gateway")


@contextmanager
def hub(folder: Path) -> Iterator[Hub]:
    """Run a hub whose keys lie below the folder."""
    authority = Authority(folder / "authority", "Authority of the hub")
    pair = authority.issue("hub", "127.0.0.1", hosts=["127.0.0.1"])
    running: Hub

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            status, text = running.answer(self.path, self.headers, body)
            running.requests.append((self.path, str(status)))
            self.send_response(status)
            if status in range(300, 400):
                self.send_header("Location", f"{running.url}/elsewhere")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    running = Hub(f"https://127.0.0.1:{server.server_address[1]}", authority.files.certificate)
    with serving(server):
        yield running
