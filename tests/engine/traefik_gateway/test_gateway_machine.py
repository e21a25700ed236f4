"""Real Traefik runs with the gateway's static configuration: redirects, dynamic files, and a dashboard on loopback."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import toolchain
from components.traefik_gateway.args_gateway import TraefikGatewayArgs
from components.traefik_gateway.render_gateway import desired_state, static_configuration, static_path, written

pytestmark = pytest.mark.long

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsP7ln2d0yMP6LrsCmLVKqg9I6ZDZzsS9tEqJ9LDrFF"
SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ask(port: int, path: str, host: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read()
    finally:
        connection.close()


def eventually(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> Any:
    """Return what the API says, once it answers."""
    end = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, log.read_text("utf-8")
        try:
            status, _, body = ask(port, path, "localhost")
        except OSError:
            status, body = 0, b""
        if status == http.HTTPStatus.OK:
            return json.loads(body)
        assert time.monotonic() < end, log.read_text("utf-8")
        time.sleep(0.1)


def test_traefik_takes_the_configuration_as_it_is(tmp_path: Path) -> None:
    """TPX-176 to TPX-179, TPX-188, TPX-218. The plugin apart: Traefik downloads it."""
    tool = toolchain.locate("traefik")
    if tool is None:
        pytest.skip("no traefik: `./factory test --long` gets it")
    plain, secure, dashboard = free_port(), free_port(), free_port()
    routes: dict[str, Any] = {"http": {"middlewares": {"small": {"compress": {}}}}}
    args = TraefikGatewayArgs.model_validate(
        {
            "host": {"address": "203.0.113.10", "host_key": HOST_KEY},
            "acme": {"email": "admin@example.test", "server": "https://acme.example.test/directory"},
            "runtime": "systemd",
            "release": {"url": "https://dl.example.test/traefik.tar.gz", "sha256": "a" * 64},
            "directory": str(tmp_path / "gateway"),
            "http_port": plain,
            "https_port": secure,
            "dashboard_port": dashboard,
            "dynamic": {"middlewares": routes},
        }
    )
    for path in desired_state(args).directories:
        Path(path).mkdir(parents=True)
    for path, file in desired_state(args).files.items():
        Path(path).write_text(file.content or written(static_configuration(args)), "utf-8")
    (tmp_path / "gateway" / "acme.json").touch(mode=0o600)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(tool.path), f"--configFile={static_path(args)}"], stdout=output, stderr=output, cwd=args.directory
        )
    try:
        known = eventually(dashboard, "/api/rawdata", process, log)
        assert "small@file" in known["middlewares"]
        points = {point["name"]: point["address"] for point in eventually(dashboard, "/api/entrypoints", process, log)}
        assert points == {"web": f":{plain}", "websecure": f":{secure}", "traefik": f"127.0.0.1:{dashboard}"}
        status, location, _ = ask(plain, "/x", "app.example.test")
        assert (status, location) == (http.HTTPStatus.MOVED_PERMANENTLY, f"https://app.example.test:{secure}/x")
    finally:
        process.terminate()
        process.wait(SECONDS)
