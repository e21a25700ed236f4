"""Read-only checks: each sort, what it shows, and what it says when there is nothing to see."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.host.agent.download import fetch
from components.host.agent.errors import AgentError
from components.host.agent.host import Host
from components.host.agent.observe import observe
from tests.support.host_machine import Machine


class Page(BaseHTTPRequestHandler):
    """Answers 200, 404, or leads elsewhere."""

    def do_GET(self) -> None:
        status = {"/": 200, "/moved": 302}.get(self.path, 404)
        self.send_response(status)
        self.send_header("X-Test", self.headers.get("X-Ask", "nothing"))
        if status == 302:
            self.send_header("Location", "/")
        self.end_headers()
        self.wfile.write(b"page" * 2000 if status == 200 else b"no")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def no_web_server() -> Iterator[int]:
    """A port where something answers in another language."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"SSH-2.0-none\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def one(host: Host, **check: Any) -> dict[str, Any]:
    found = observe(host, {"it": check})["it"]
    assert found.pop("seconds") < 10
    return dict(found)


def test_command() -> None:
    host = Host()
    assert one(host, command=["sh", "-c", "echo out; echo err >&2; exit 3"]) == {
        "error": None,
        "status": 3,
        "stdout": "out\n",
        "stderr": "err\n",
    }
    assert one(host, command=["sleep", "9"], timeout=0.2)["error"] == "it did not end in 0.2 s"
    assert one(host, command=["nonesuch-program"])["status"] == 127


def test_http(port: int) -> None:
    host = Host()
    page = one(host, http=f"http://127.0.0.1:{port}/", headers={"X-Ask": "me"})
    assert (page["error"], page["status"], page["headers"]["x-test"], len(page["body"])) == (None, 200, "me", 4096)
    assert one(host, http=f"http://127.0.0.1:{port}/none")["status"] == 404
    moved = one(host, http=f"http://127.0.0.1:{port}/moved")
    assert (moved["status"], moved["headers"]["location"]) == (302, "/")
    assert one(host, http="http://127.0.0.1:1/")["error"] == "[Errno 111] Connection refused"
    assert "begins with http:// or https://" in one(host, http="file:///etc/passwd")["error"]


def test_what_is_no_web_server(no_web_server: int) -> None:
    url = f"http://127.0.0.1:{no_web_server}/"
    assert one(Host(), http=url)["error"] == f"what answers at {url} is no web server (BadStatusLine)"
    with pytest.raises(AgentError, match="is no web server's"):
        next(fetch(url, 10))


def test_port(port: int) -> None:
    host = Host()
    assert one(host, port=port) == {"error": None, "open": True}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert one(host, port=free.getsockname()[1]) == {"error": None, "open": False}
    assert one(host, port=1, address="nonesuch.invalid")["error"]


def test_unit_and_file(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"nginx": ("1", "nginx.service")})
    host = Host(str(tmp_path), machine, system=True)
    machine.run(["apt-get", "install", "--", "nginx"])
    shown = one(host, unit="nginx.service")
    assert (shown["load"], shown["active"], shown["enabled"]) == ("loaded", "active", "enabled")
    assert one(host, unit="none.service")["load"] == "not-found"
    (tmp_path / "f").write_text("x")
    (tmp_path / "f").chmod(0o640)
    found = one(host, file="/f")
    assert (found["type"], found["mode"], found["size"]) == ("file", "0640", 1)
    assert one(host, file="/none") == {"error": None, "type": None}


def test_many_at_once_and_a_check_of_nothing() -> None:
    checks = {f"c{number}": {"command": ["sleep", "0.3"]} for number in range(8)}
    found = observe(Host(), checks)
    assert list(found) == sorted(checks)
    assert {each["status"] for each in found.values()} == {0}
    assert "needs one of command, http, port, unit, file" in one(Host(), colour="red")["error"]
