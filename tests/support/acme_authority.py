"""A certificate authority that speaks enough of ACME (RFC 8555) to give certificates for a proof by port 80.

It does not check the signatures of requests: it stands for an authority that is satisfied, not for one under attack.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import http.client
import ipaddress
import json
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from tests.support.web_servers import serving

_SECONDS = 10
_LIFE = dt.timedelta(days=90)
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of the tests")])


@dataclass
class Authority:
    """What it knows: who has an account, what was proven, which names have certificates."""

    address: str
    proven_at: str
    """Where port 80 of every name is."""
    port: int = 0
    contacts: list[str] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why a proof was none."""
    thumbprint: str = ""
    orders: list[dict[str, Any]] = field(default_factory=list)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.certificate = self._certificate(_NAME, self.key.public_key(), x509.BasicConstraints(True, None))

    @property
    def directory(self) -> str:
        """Where a client begins."""
        return self.url("directory")

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def context(self, folder: Path) -> ssl.SSLContext:
        """Make its server's side of TLS, with a certificate of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(self.address))])
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        pem = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
        file = folder / "authority.pem"
        file.write_bytes(pem + self._certificate(x509.Name([]), key.public_key(), place).public_bytes(encoding))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context

    def url(self, *parts: object) -> str:
        """Write an address of its own."""
        return f"https://{self.address}:{self.port}/{'/'.join(map(str, parts))}"

    def answer(self, kind: str, number: int, protected: dict[str, Any], payload: Any) -> tuple[int, str, Any]:
        """Answer a request: the status, where to find it, the document."""
        if kind == "account":
            self.contacts += payload.get("contact", [])
            # The members of a key in the order of the alphabet, without blanks (RFC 7638).
            text = json.dumps(protected["jwk"], sort_keys=True, separators=(",", ":"))
            self.thumbprint = _encoded(hashlib.sha256(text.encode()).digest())
            return 201, self.url("account", 0), {"status": "valid", "contact": payload.get("contact", [])}
        if kind == "new":
            self.orders.append({"names": [one["value"] for one in payload["identifiers"]], "token": _token()})
            number = len(self.orders) - 1
            return 201, self.url("order", number), self._order(number)
        order = self.orders[number]
        if kind == "challenge":
            order["valid"] = self._proven(order["names"][0], order["token"])
        if kind == "finalize":
            order["chain"] = self._issue(x509.load_der_x509_csr(_decoded(payload["csr"])), order["names"])
        if kind == "certificate":
            return 200, "", order["chain"]
        documents = {"authorization": self._authorization, "challenge": self._challenge}
        return 200, self.url("order", number), documents.get(kind, self._order)(number)

    def _order(self, number: int) -> dict[str, Any]:
        order = self.orders[number]
        status = "valid" if "chain" in order else "ready" if order.get("valid") else "pending"
        return {
            "status": status,
            "identifiers": [{"type": "dns", "value": name} for name in order["names"]],
            "authorizations": [self.url("authorization", number)],
            "finalize": self.url("finalize", number),
            **({"certificate": self.url("certificate", number)} if "chain" in order else {}),
        }

    def _authorization(self, number: int) -> dict[str, Any]:
        order = self.orders[number]
        return {
            "status": self._status(order),
            "identifier": {"type": "dns", "value": order["names"][0]},
            "challenges": [self._challenge(number)],
        }

    def _challenge(self, number: int) -> dict[str, Any]:
        order = self.orders[number]
        url = self.url("challenge", number)
        return {"type": "http-01", "url": url, "token": order["token"], "status": self._status(order)}

    def _status(self, order: dict[str, Any]) -> str:
        return {True: "valid", False: "invalid", None: "pending"}[order.get("valid")]

    def _proven(self, name: str, token: str) -> bool:
        """Ask for the proof, as anybody on the Internet would."""
        connection = http.client.HTTPConnection(self.proven_at, 80, timeout=_SECONDS)
        try:
            connection.request("GET", f"/.well-known/acme-challenge/{token}", headers={"Host": name})
            answer = connection.getresponse()
            status, text = answer.status, answer.read().decode()
        except OSError as error:
            status, text = 0, str(error)
        finally:
            connection.close()
        right = (status, text) == (200, f"{token}.{self.thumbprint}")
        if not right:
            self.refused.append(f"{name}: {status} {text}")
        return right

    def _issue(self, request: x509.CertificateSigningRequest, names: list[str]) -> str:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        made = self._certificate(request.subject, request.public_key(), alternatives)
        self.issued += names
        return made.public_bytes(serialization.Encoding.PEM).decode() + self.pem

    def _certificate(
        self, subject: x509.Name, key: CertificatePublicKeyTypes, extension: x509.ExtensionType
    ) -> x509.Certificate:
        begin = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
        builder = x509.CertificateBuilder(_NAME, subject, key, x509.random_serial_number(), begin, begin + _LIFE)
        return builder.add_extension(extension, critical=True).sign(self.key, hashes.SHA256())


@contextmanager
def acme_authority(folder: Path, address: str, proven_at: str) -> Iterator[Authority]:
    """Run an authority at an address of this machine, which looks for proofs at another."""
    authority = Authority(address, proven_at)
    server = ThreadingHTTPServer((address, 0), type("Handler", (_Handler,), {"authority": authority}))
    server.socket = authority.context(folder).wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        authority.port = port
        yield authority


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    authority: ClassVar[Authority]

    def do_HEAD(self) -> None:
        self._send(200, "", None)

    def do_GET(self) -> None:
        url = self.authority.url
        places = {"newNonce": url("nonce"), "newAccount": url("account", 0), "newOrder": url("new", 0)}
        self._send(200, "", places | {"revokeCert": url("revoke"), "keyChange": url("change")})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        protected, payload = (_decoded(request[part]) for part in ("protected", "payload"))
        kind, number = self.path.strip("/").split("/")
        self._send(
            *self.authority.answer(kind, int(number), json.loads(protected), json.loads(payload) if payload else {})
        )

    def _send(self, status: int, location: str, document: object) -> None:
        body = document if isinstance(document, str) else json.dumps(document)
        data = b"" if self.command == "HEAD" else body.encode()
        self.send_response(status)
        kind = "application/pem-certificate-chain" if isinstance(document, str) else "application/json"
        for name, value in (
            ("Replay-Nonce", _token()),
            ("Content-Type", kind),
            ("Content-Length", str(len(data))),
            *((("Location", location),) if location else ()),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
        """Keep the tests' output clean."""


def _token() -> str:
    return secrets.token_urlsafe(24)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
