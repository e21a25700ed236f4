"""Doubles of what runs in a gateway's containers: each reads its real configuration, and listens where that says."""

from __future__ import annotations

import http.client
import http.server
import re
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml


def traefik() -> None:
    """HTTPS with the configured certificate, handed on to the configured server."""
    static = yaml.safe_load(Path("/etc/traefik/traefik.yml").read_text())
    folder = static["providers"]["file"]["directory"]
    routes = yaml.safe_load(Path(folder, "gateway.yml").read_text())
    names = set(re.findall("`([^`]+)`", " ".join(each["rule"] for each in routes["http"]["routers"].values())))
    (server,) = routes["http"]["services"]["web"]["loadBalancer"]["servers"]

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Host"] not in names:
                self.send_error(404)
                return
            behind = http.client.HTTPConnection(urlsplit(server["url"]).netloc)
            behind.request("GET", self.path, headers={"Host": self.headers["Host"], "X-Forwarded-Proto": "https"})
            got = behind.getresponse()
            answer(self, got.status, got.read())

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for pair in routes["tls"].get("certificates", ()):
        context.load_cert_chain(pair["certFile"], pair["keyFile"])
    address, _, port = static["entryPoints"]["websecure"]["address"].rpartition(":")
    listening = http.server.ThreadingHTTPServer((address, int(port)), Proxy)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    listening.serve_forever()


def adguard(path: str) -> None:
    """The rewritten names over UDP, and pages that ask for a login."""
    configuration = yaml.safe_load(Path(path).read_text())
    assert configuration["users"][0]["password"], "pages without a login"
    answers = {each["domain"]: each["answer"] for each in configuration["filtering"]["rewrites"]}
    (address,) = configuration["dns"]["bind_hosts"]
    port = configuration["dns"]["port"]

    class Names(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, listening = self.request
            listening.sendto(resolved(query, answers), self.client_address)

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, 401, b"")

    ui, _, ui_port = configuration["http"]["address"].rpartition(":")
    servers: list[socketserver.BaseServer] = [
        socketserver.ThreadingUDPServer((address, port), Names),
        socketserver.ThreadingTCPServer((address, port), socketserver.BaseRequestHandler),
    ]
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    http.server.ThreadingHTTPServer((ui, int(ui_port)), Pages).serve_forever()


def resolved(query: bytes, answers: Mapping[str, str]) -> bytes:
    """The answer to a question for an address; no such name for any other."""
    labels, place = [], 12
    while length := query[place]:
        labels.append(query[place + 1 : place + 1 + length].decode())
        place += 1 + length
    question = query[12 : place + 5]
    address = answers.get(".".join(labels).lower()) if question[-4:] == b"\0\1\0\1" else None
    header = query[:2] + struct.pack("!HHHHH", 0x8180 if address else 0x8183, 1, 1 if address else 0, 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address) if address else b""
    return header + question + record


def plain(port: str) -> None:
    """A yes to everything."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, 200, b"ok\n")

    http.server.ThreadingHTTPServer(("", int(port)), Page).serve_forever()


def answer(request: http.server.BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


if __name__ == "__main__":
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    programs: dict[str, Callable[..., None]] = {"traefik": traefik, "adguard": adguard, "http": plain}
    programs[sys.argv[1]](*sys.argv[2:])
