"""Real Traefik loads the generated file and answers by host, path and protocol, as the model says."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import toolchain
from components.traefik_gateway import Container, Mode, TransformArgs, parse
from components.traefik_gateway.render_file import Machine, configuration, document, to_yaml
from components.traefik_gateway.schema import OPTIONS, Kind, Origin
from tests.support.labels import MIDDLEWARES, ROUTERS, SERVICES, container
from tests.support.web_servers import free_port, line_server, web_server

pytestmark = pytest.mark.long
SECONDS = 60.0


@pytest.fixture(scope="module")
def program() -> Path:
    tool = toolchain.locate("traefik")
    if tool is None:
        pytest.skip("no traefik: `./factory test --long` gets it")
    return tool.path


class Gateway:
    """A Traefik on loopback that reads one file."""

    def __init__(self, program: Path, folder: Path, routes: str) -> None:
        self.web, self.tcp, self.api = free_port(), free_port(), free_port()
        (folder / "routes.yaml").write_text(routes, "utf-8")
        static = {
            "entryPoints": {
                "websecure": {"address": f"127.0.0.1:{self.web}"},
                "postgres": {"address": f"127.0.0.1:{self.tcp}"},
                "traefik": {"address": f"127.0.0.1:{self.api}"},
            },
            "providers": {"file": {"filename": str(folder / "routes.yaml"), "watch": False}},
            "api": {"insecure": True},
            "log": {"level": "DEBUG", "filePath": str(folder / "traefik.log")},
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        }
        (folder / "traefik.yaml").write_text(yaml.safe_dump(static), "utf-8")
        self.log = folder / "traefik.log"
        with (folder / "output.log").open("wb") as output:
            self._process = subprocess.Popen(
                [str(program), f"--configfile={folder / 'traefik.yaml'}"], stdout=output, stderr=output, cwd=folder
            )

    def ready(self) -> None:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert self._process.poll() is None, "traefik has ended"
            assert self.refusals() == []
            try:
                if any(name.endswith("@file") for name in self.data().get("routers", {})):
                    return
            except (OSError, ValueError):
                pass  # not listening yet, or not answering this yet
            time.sleep(0.1)
        raise AssertionError("traefik did not read the file")

    def refusals(self) -> list[str]:
        """What it said about a file that it does not take."""
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        return [line for line in lines if "Cannot start the provider" in line]

    def data(self) -> dict[str, Any]:
        """What Traefik made of its configuration."""
        return dict(json.loads(self._get(self.api, "localhost", "/api/rawdata")[1]))

    def answer(self, host: str, path: str = "/") -> tuple[int, str]:
        return self._get(self.web, host, path)

    def _get(self, port: int, host: str, path: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", path, headers={"Host": host, "Connection": "close"})
            with connection.getresponse() as response:
                return response.status, response.read().decode()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def gateway(program: Path, folder: Path, routes: str) -> Iterator[Gateway]:
    running = Gateway(program, folder, routes)
    try:
        running.ready()
        yield running
    finally:
        running.stop()


def app(name: str, rule: str, port: int, **options: str) -> Container:
    labels = {f"{ROUTERS}{name}.rule": rule, f"{ROUTERS}{name}.entrypoints": "websecure"}
    labels |= {f"{ROUTERS}{name}.{option}": value for option, value in options.items()}
    return container(name, labels | {f"{SERVICES}{name}.loadbalancer.server.port": str(port)})


def test_it_answers_by_host_and_path_and_passes_tcp_on(program: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        wiki, feed, raw = (stack.enter_context(web_server("wiki")), stack.enter_context(web_server("feed")),
                           stack.enter_context(line_server()))  # fmt: skip
        boxes = [
            app("wiki", "Host(`home.example.test`)", wiki),
            app("feed", "Host(`home.example.test`) && PathPrefix(`/feed`)", feed),
            container(
                "db",
                {
                    "traefik.tcp.routers.db.rule": "HostSNI(`*`)",
                    "traefik.tcp.routers.db.entrypoints": "postgres",
                    "traefik.tcp.services.db.loadbalancer.server.port": str(raw),
                },
            ),
        ]
        machine = Machine("vm-1", "127.0.0.1", parse(boxes), TransformArgs(mode=Mode.FILTER))
        running = stack.enter_context(gateway(program, tmp_path, to_yaml(configuration([machine]).document)))
        assert running.answer("home.example.test") == (200, "wiki home.example.test /")
        assert running.answer("home.example.test", "/feed/1") == (200, "feed home.example.test /feed/1")
        assert running.answer("other.example.test")[0] == 404
        with socket.create_connection(("127.0.0.1", running.tcp), timeout=5) as connection:
            connection.sendall(b"hello\n")
            with connection.makefile("rb") as lines:
                assert lines.readline() == b"raw hello\n"


def test_in_mode_passthrough_all_lead_to_one_server(program: Path, tmp_path: Path) -> None:
    with web_server("local traefik") as port:
        boxes = [app("wiki", "Host(`wiki.example.test`)", 1), app("feed", "Host(`feed.example.test`)", 2)]
        machine = Machine("vm-1", "127.0.0.1", parse(boxes), TransformArgs(traefik_local_port=port))
        made = configuration([machine]).document
        # TLS is the gateway's own affair, and this test has no certificates.
        for router in made["http"]["routers"].values():
            del router["tls"]
        with gateway(program, tmp_path, to_yaml(made)) as running:
            assert running.answer("wiki.example.test") == (200, "local traefik wiki.example.test /")
            assert running.answer("feed.example.test", "/x") == (200, "local traefik feed.example.test /x")
            assert running.answer("other.example.test")[0] == 404


def test_middlewares_from_labels_do_what_they_say(program: Path, tmp_path: Path) -> None:
    with web_server("app") as port:
        labels = {
            f"{ROUTERS}app.rule": "Host(`app.example.test`)",
            f"{ROUTERS}app.entrypoints": "websecure",
            f"{ROUTERS}app.service": "app@docker",
            f"{ROUTERS}app.middlewares": "short@docker, known",
            f"{MIDDLEWARES}short.stripprefix.prefixes": "/outer, /other",
            f"{MIDDLEWARES}known.ipallowlist.sourcerange": "127.0.0.1/32",
            f"{SERVICES}app.loadbalancer.server.port": str(port),
        }
        (declared,) = parse([container("app", labels)]).containers
        routes = to_yaml(document(declared.elements.values(), "127.0.0.1"))
        with gateway(program, tmp_path, routes) as running:
            assert running.answer("app.example.test", "/outer/x") == (200, "app app.example.test /x")
            assert running.answer("app.example.test", "/other/y") == (200, "app app.example.test /y")


TEXTS = {
    Kind.STRING: "x", Kind.BOOL: "true", Kind.INT: "42", Kind.DURATION: "42s", Kind.LIST: "x,y", Kind.FLAG: "true"
}  # fmt: skip
NEWER = (
    "http.ciphersuites",
    "http.encodedcharacters",
    "http.errors.errorrequestheaders",
    "http.failover.errors",
    "http.forwardauth.authsigninurl",
    "http.maxversion",
    "http.minversion",
    "http.retry.disableretryonnetworkerror",
    "http.retry.maxrequestbodybytes",
    "http.retry.retrynonidempotentmethod",
    "http.retry.status",
    "http.retry.timeout",
    "tcp.loadbalancer.healthcheck",
    "tcp.weighted.healthcheck",
)
"""Options of Traefik 3.7, which the built 3.6 does not have yet."""


def test_every_option_of_the_table_is_one_of_traefiks(program: Path, tmp_path: Path) -> None:
    """Traefik refuses a whole file for one name that it does not know."""
    labels = {f"{ROUTERS}probe.rule": "Host(`probe`)", f"{ROUTERS}probe.service": "noop@internal"}
    number = 0
    for section, rows in OPTIONS.items():
        for option in rows.values():
            place = f"{section[0]}.{option.key}"
            if option.origin in {Origin.LABEL, Origin.PLUGIN} or place.startswith(NEWER):
                continue
            if (section, option.key) == (("http", "services"), "middlewares"):
                continue
            number += 1
            path = option.key.replace("[]", "[0]").replace("**", "name").replace("*", "404")
            name = f"[{number}]" if section[1] == "certificates" else f".thing{number}"
            labels[f"traefik.{'.'.join(section)}{name}.{path}"] = TEXTS[option.kind]
    (declared,) = parse([Container("box", labels)]).containers
    with gateway(program, tmp_path, to_yaml(document(declared.elements.values(), "127.0.0.1"))) as running:
        known = running.data()
        assert len(known["middlewares"]) > 150
