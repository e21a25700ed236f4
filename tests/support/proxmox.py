"""A Proxmox API on loopback for tests: the fake in a thread of its own, and a proxy in front that can do harm.

Notes are stored as a cluster stores them: line by line, without empty lines at the end, read back with one line end.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from fakepve import FakePve
from fakepve.certs import make_cert

TOKEN_ID = "factory@pve!notes"
TOKEN_SECRET = "11111111-2222-3333-4444-555555555555"
READER_TOKEN_ID = "factory@pve!reader"
_SECONDS = 30


class Stored(dict[str, Any]):
    """A guest's configuration, whose notes go through the notation of a configuration file."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, stored(value) if key == "description" else value)


def stored(text: str) -> str:
    """Return notes as they are read back after they were written."""
    kept = text.rstrip("\n")
    return f"{kept}\n" if kept else ""


@dataclass
class Cluster:
    """A running fake cluster."""

    pve: Any
    certificate: Path
    key: Path
    port: int

    @property
    def ca_pem(self) -> str:
        """The certificate, which serves as its own authority."""
        return self.certificate.read_text("ascii")

    @property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint of the certificate, as Proxmox writes it."""
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.ca_pem)).hexdigest().upper()
        return ":".join(digest[start : start + 2] for start in range(0, len(digest), 2))

    @property
    def endpoint(self) -> str:
        """The address of its API."""
        return f"https://127.0.0.1:{self.port}"

    def guest(self, vmid: int, name: str, notes: str | None = None, **options: Any) -> Any:
        """Add a running guest with the tag `exposed`; `kind="lxc"` makes it a container."""
        add = self.pve.add_ct if options.pop("kind", "qemu") == "lxc" else self.pve.add_vm
        config = Stored(tags=options.pop("tags", "exposed"))
        if notes is not None:
            config["description"] = notes
        guest = add(vmid, name, **{"status": "running"} | options, config={})
        config.update({key: value for key, value in guest.config.items() if key not in config})
        guest.config = config
        return guest

    def notes(self, vmid: int) -> str:
        """Return the notes of a guest, empty if it has none."""
        return self.pve.guest(vmid).config.get("description") or ""

    def reset(self) -> None:
        """Take everything away that a test has made."""
        self.pve.vms, self.pve.cts, self.pve.nodes = [], [], {"pve1": {"online": True}}
        self.pve.acl, self.pve.quorate = None, True
        self.forget_calls()

    def calls(self, method: str, path: str = "") -> list[str]:
        """Return the paths of the requests so far whose method is this and whose path matches."""
        return [asked for verb, asked, _ in self.pve.requests if verb == method and re.search(path, asked)]

    def forget_calls(self) -> None:
        """Forget them."""
        self.pve.requests.clear()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run a cluster with one node and no guests, which admits the token and everything else it asks for."""
    certificate, key, _ = make_cert(str(folder), hosts=("127.0.0.1",))
    pve = FakePve(host="127.0.0.1", port=0)
    pve.apitokens |= {TOKEN_ID: TOKEN_SECRET, READER_TOKEN_ID: TOKEN_SECRET}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(pve.start(certificate, key), loop).result(_SECONDS)
        yield Cluster(pve, Path(certificate), Path(key), pve.port)
    finally:
        asyncio.run_coroutine_threadsafe(pve.stop(), loop).result(_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_SECONDS)
        loop.close()


@dataclass
class Fault:
    """What happens to the next `times` requests of this method whose path matches."""

    method: str
    path: str
    times: int = 1
    status: int | None = None
    """Answer with this and the reason instead of asking the cluster."""
    reason: str = ""
    seconds: float = 0
    """Wait before the answer is sent."""
    cut: bool = False
    """Send half of the answer, then close."""
    lose: bool = False
    """Ask the cluster, then close without an answer."""
    body: bytes | None = None
    """Send this instead of the cluster's answer."""
    before: Callable[[], object] | None = None
    """Call this before the cluster is asked."""


@dataclass
class FaultyProxy:
    """A proxy in front of a cluster, with the cluster's certificate. It passes on what no fault is meant for."""

    behind: Cluster
    port: int
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        """The address of the API behind it."""
        return f"https://127.0.0.1:{self.port}"

    def inject(self, method: str, path: str, **what: Any) -> None:
        """Add a fault."""
        self.faults.append(Fault(method, path, **what))

    def take(self, method: str, path: str) -> Fault:
        """Return the fault for a request, or one that does nothing."""
        with self.lock:
            for fault in self.faults:
                if fault.method == method and fault.times > 0 and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return Fault(method, path)


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: ClassVar[FaultyProxy]

    def do_GET(self) -> None:
        fault = self.proxy.take(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault.before is not None:
            fault.before()
        if fault.status is not None:
            status, reason, answer = fault.status, fault.reason, b'{"data":null}'
        else:
            status, reason, answer = self._behind(body)
        time.sleep(fault.seconds)
        if fault.lose:
            self.close_connection = True
            return
        answer = answer if fault.body is None else fault.body
        self.send_response(status, reason)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[: len(answer) // 2] if fault.cut else answer)
        self.close_connection = self.close_connection or fault.cut

    do_PUT = do_GET  # noqa: N815 - the name is the base's

    def _behind(self, body: bytes) -> tuple[int, str, bytes]:
        context = ssl.create_default_context(cadata=self.proxy.behind.ca_pem)
        connection = http.client.HTTPSConnection("127.0.0.1", self.proxy.behind.port, context=context, timeout=_SECONDS)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.reason, answer.read()
        finally:
            connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is part of a test."""


@contextmanager
def faulty(behind: Cluster) -> Iterator[FaultyProxy]:
    """Run a proxy in front of a cluster."""

    class Handler(_Passing):
        pass

    server = _Server(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(behind.certificate, behind.key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    proxy = FaultyProxy(behind, server.server_address[1])
    Handler.proxy = proxy
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_SECONDS)


HUMAN = "# Home lab\n\nBackup: nightly 02:00, 100 % [x] %2F é\n"
"""What a person wrote into the notes."""


def router(name: str, **more: str) -> dict[str, str]:
    """Return labels of a container that is published under a host of its own."""
    return {"traefik.enable": "true", f"traefik.http.routers.{name}.rule": f"Host(`{name}.example.test`)", **more}


def notes_values(at: Cluster | FaultyProxy, **guests: Any) -> dict[str, Any]:
    """Return the arguments of notes, with the token's secret: where the cluster is, and the guests."""
    behind = at.behind if isinstance(at, FaultyProxy) else at
    return {
        "endpoint": at.endpoint,
        "token_id": TOKEN_ID,
        "token_secret": TOKEN_SECRET,
        "fingerprint": behind.fingerprint,
        "timeout_seconds": 2,
        "block": "gateway",
        "guests": guests,
    }
