"""Small servers for tests, each in a thread of its own on a free port."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port of loopback that nobody has at this moment."""
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


def address_towards(address: str, port: int) -> str:
    """Return this machine's own address as a server sees it that listens there."""
    with socket.create_connection((address, port), timeout=10) as connection:
        return str(connection.getsockname()[0])


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """Serve meanwhile; gives the port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def web_server(name: str, address: str = LOOPBACK) -> Iterator[int]:
    """Answer every request with the server's name, the host that was asked for, and the path."""

    class Handler(_Silent):
        def do_GET(self) -> None:
            body = f"{name} {self.headers['Host']} {self.path}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(ThreadingHTTPServer((address, 0), Handler)) as port:
        yield port


@contextmanager
def line_server() -> Iterator[int]:
    """Answer one line over TCP."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"raw " + self.rfile.readline())

    with serving(socketserver.ThreadingTCPServer((LOOPBACK, 0), Handler)) as port:
        yield port


@contextmanager
def file_server(folder: Path, address: str = LOOPBACK) -> Iterator[int]:
    """Serve the files of a folder."""
    with serving(ThreadingHTTPServer((address, 0), partial(_Files, directory=folder))) as port:
        yield port


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
        """Keep the tests' output clean."""


class _Files(_Silent, SimpleHTTPRequestHandler):
    """Serves files, silently."""
