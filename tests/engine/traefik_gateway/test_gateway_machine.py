"""The gateway's own machine: a real Debian with systemd becomes a gateway, which answers as predicted."""

from __future__ import annotations

import http.client
import io
import json
import ssl
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import toolchain
from components.traefik_gateway import Guest, Machine, TransformArgs, configuration, parse, predict, transform, update
from components.traefik_gateway.args_gateway import TraefikGatewayArgs
from components.traefik_gateway.lint import Prediction
from components.traefik_gateway.render_gateway import desired_state, static_configuration, static_path, written
from tests.support import machines
from tests.support.acme_authority import Authority, acme_authority
from tests.support.labels import application
from tests.support.managed_host import Document, ManagedHost, started, trace
from tests.support.plugin_program import Program
from tests.support.project import Project
from tests.support.web_servers import address_towards, file_server, web_server
from toolchain.paths import ROOT

pytestmark = pytest.mark.skipif(bool(machines.missing()), reason=machines.missing())

HOME = "/opt/traefik-gateway"
UNIT = "traefik-gateway.service"
STATIC, ROUTES, STORAGE = f"{HOME}/traefik.yml", f"{HOME}/dynamic/routes.yml", f"{HOME}/acme.json"
SECONDS = 120.0
STAND_IN = b"#!/bin/sh\nexec sleep infinity\n"
"""Runs like Traefik, as far as the machine's state goes."""

PROGRAM = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components.host import FactoryProvider
from components.host.credentials import Credentials
from components.traefik_gateway.args_gateway import TraefikGatewayArgs
from components.traefik_gateway.component import TraefikGateway

given = json.loads(os.environ["VALUES"])
gateway = TraefikGateway(
    "gateway",
    TraefikGatewayArgs.model_validate(given["gateway"]),
    credentials=Credentials(private_key=given["private_key"]),
    opts=pulumi.ResourceOptions(providers=[FactoryProvider("hosts")]),
)
for name, value in gateway.outputs().items():
    pulumi.export(name, value)
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[machines.Machine]:
    with machines.running("gateway") as running:
        yield running


@dataclass(frozen=True)
class Surroundings:
    """What a gateway has around it, all on this machine: the release, two guests' own Traefik, an authority."""

    release: Mapping[str, str]
    address: str
    ports: Mapping[str, int]
    authority: Authority

    def gateway(self, machine: machines.Machine, routes: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
        """Describe it as a stack file does."""
        return {
            "host": {
                "address": machine.address,
                "user": "root",
                "host_key": machine.keys.host_key,
                "identity_file": str(machine.keys.client),
                "ssh_config": None,
            },
            "runtime": "systemd",
            "release": dict(self.release),
            "acme": {
                "email": "admin@example.test",
                "server": self.authority.directory,
                "ca_pem": self.authority.pem,
            },
            "dynamic": {"routes": dict(routes)},
        } | changed


@pytest.fixture
def around(machine: machines.Machine, tmp_path: Path) -> Iterator[Callable[[bytes | Path], Surroundings]]:
    """Make the surroundings of a gateway whose release has this program."""
    machine.reset()
    with ExitStack() as stack:

        def made(program: bytes | Path) -> Surroundings:
            here = address_towards(machine.address, machine.port)
            archive = tmp_path / "served" / "traefik.tar.gz"
            archive.parent.mkdir()
            port = stack.enter_context(file_server(archive.parent, here))
            release = {"url": f"http://{here}:{port}/{archive.name}", "sha256": packed(program, archive)}
            ports = {name: stack.enter_context(web_server(name, here)) for name in ("wiki", "media")}
            authority = stack.enter_context(acme_authority(tmp_path, here, machine.address))
            return Surroundings(release, here, ports, authority)

        yield made


def packed(program: bytes | Path, archive: Path) -> str:
    """Pack a release, beside other files as the vendor does, and return its checksum."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name, content, mode in (("LICENSE.md", b"text", 0o644), ("traefik", program, 0o755)):
            if isinstance(content, Path):
                tar.add(content, name)
                continue
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid = len(content), mode, 1001
            tar.addfile(entry, io.BytesIO(content))
    with archive.open("rb") as file:
        return sha256(file.read()).hexdigest()


def guests(around: Surroundings, *names: str) -> tuple[Mapping[str, Any], Prediction]:
    """Give the routes of each guest's application as a file, and what the gateway would make of the same in notes."""
    described, notes = [], []
    for number, name in enumerate(names, 101):
        model = parse([application(name, f"Host(`{name}.example.test`) && PathPrefix(`/{name}`)")])
        # Where there is no guest of that name, the application is one more of the first.
        args = TransformArgs(
            gateway_service_name=f"{name}-traefik",
            traefik_local_port=around.ports.get(name, around.ports["wiki"]),
        )
        described.append(Machine(name, around.address, model, args))
        text = update("", transform(model, args).labels, "gateway").text
        notes.append(Guest(name, number, "pve", text, (around.address,)))
    return configuration(described).document, predict(notes)


def role(args: TraefikGatewayArgs) -> Document:
    """Write the role with the static configuration, which the component gives as a secret."""
    document = desired_state(args).document()
    document["files"][static_path(args)]["content"] = written(static_configuration(args, "reader-secret"))
    return document


def test_a_machine_becomes_a_gateway_and_stays_one(
    machine: machines.Machine, around: Callable[[bytes | Path], Surroundings]
) -> None:
    """TPX-179, TPX-186, TPX-209: who owns what, nothing twice, a restart only for what is read at the start."""
    site, host = around(STAND_IN), ManagedHost.of(machine)
    routes, _ = guests(site, "wiki")
    plugin = {"endpoint": "https://pve.example.test:8006", "token_id": "traefik@pve!reader"}
    given = site.gateway(machine, routes, plugin=plugin)
    described = role(TraefikGatewayArgs.model_validate(given))
    assert host.problems(described) == []
    host.apply(described)
    assert machine.run("systemctl", "is-active", UNIT).stdout == "active\n"
    assert machine.run("systemctl", "is-enabled", UNIT).stdout == "enabled\n"
    paths = (STATIC, STORAGE, ROUTES, f"{HOME}/dynamic", "/usr/local/bin/traefik")
    assert machine.run("stat", "--format", "%a %U:%G %F", *paths).stdout.splitlines() == [
        "600 traefik-gateway:traefik-gateway regular file",
        "600 traefik-gateway:traefik-gateway regular empty file",
        "640 traefik-gateway:traefik-gateway regular file",
        "750 traefik-gateway:traefik-gateway directory",
        "755 root:root regular file",
    ]
    assert "reader-secret" in machine.path(STATIC).read_text()
    assert machine.run("ps", "-o", "user=", "-C", "sleep").stdout.split() == ["traefik-gateway"]

    # What is in the storage is Traefik's own.
    machine.path(STORAGE).write_text("certificates")
    files, begun = trace(machine, STATIC, STORAGE, ROUTES), started(machine, UNIT)
    assert host.apply(described) == []
    assert (trace(machine, STATIC, STORAGE, ROUTES), started(machine, UNIT)) == (files, begun)

    routes, _ = guests(site, "wiki", "media")
    described = role(TraefikGatewayArgs.model_validate(given | {"dynamic": {"routes": routes}}))
    assert host.apply(described) == [f"update files:{ROUTES}"]
    assert started(machine, UNIT) == begun, "Traefik watches that folder"

    described = role(TraefikGatewayArgs.model_validate(given | {"dynamic": {"routes": routes}, "https_port": 8443}))
    assert host.apply(described) == [f"update files:{STATIC}", f"restart units:{UNIT}"]
    assert started(machine, UNIT) != begun
    assert machine.path(STORAGE).read_text() == "certificates"


def test_with_compose_the_project_is_taken_down_and_up(
    machine: machines.Machine, around: Callable[[bytes | Path], Surroundings]
) -> None:
    """TPX-181, TPX-182, TPX-186, as far as the machine goes: a script that notes its calls stands for Docker."""
    site, host = around(STAND_IN), ManagedHost.of(machine)
    docker, calls = machine.path("/usr/bin/docker"), machine.path("/var/log/calls")
    docker.write_text('#!/bin/sh\necho "$*" >>/var/log/calls\n')
    docker.chmod(0o755)
    machine.path("/etc/systemd/system/docker.service").write_text("[Service]\nExecStart=/usr/bin/sleep infinity\n")
    given = site.gateway(machine, guests(site, "wiki")[0], runtime="compose", release=None)
    described = role(TraefikGatewayArgs.model_validate(given))
    host.apply(described)
    up = f"compose --file {HOME}/compose.yml up --detach --wait --remove-orphans"
    down = f"compose --file {HOME}/compose.yml down"
    assert calls.read_text().splitlines() == [up]
    assert machine.run("systemctl", "is-active", UNIT).stdout == "active\n"
    shown = machine.run("stat", "--format", "%a %U %F", STATIC, STORAGE, f"{HOME}/acme-ca.pem", HOME).stdout
    assert shown.splitlines() == [
        "600 root regular file", "600 root regular empty file", "644 root regular file", "750 root directory"
    ]  # fmt: skip
    assert host.apply(described) == []

    described = role(TraefikGatewayArgs.model_validate(given | {"dynamic": {"routes": guests(site, "media")[0]}}))
    host.apply(described)
    assert calls.read_text().splitlines() == [up], "Traefik watches that folder"
    described = role(TraefikGatewayArgs.model_validate(given | {"https_port": 8443}))
    host.apply(described)
    assert calls.read_text().splitlines() == [up, down, up], "once for all that changed"


class Visitor:
    """Somebody on the Internet, for whom every name leads to the gateway, and who trusts the authority alone."""

    def __init__(self, gateway: str, authority: Authority) -> None:
        self.gateway = gateway
        self.trust = ssl.create_default_context(cadata=authority.pem)

    def ask(self, url: str) -> tuple[int, str, str]:
        """Return the status, where it leads, and the text."""
        place = urlsplit(url)
        connection = http.client.HTTPConnection(self.gateway, place.port or 80, timeout=10)
        try:
            if place.scheme == "https":
                connection.port = place.port or 443
                connection.connect()
                connection.sock = self.trust.wrap_socket(connection.sock, server_hostname=place.hostname)
            connection.request("GET", place.path or "/", headers={"Host": place.netloc})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Location", ""), answer.read().decode()
        finally:
            connection.close()

    def finds(self, url: str, text: str, log: Callable[[], str]) -> None:
        """Assert that a page comes to say this, over a certificate that is trusted."""
        end, seen = time.monotonic() + SECONDS, ""
        while seen != text:
            try:
                _, _, seen = self.ask(url)
            except OSError as error:
                seen = str(error)
            assert time.monotonic() < end, f"{url}: {seen}\n{log()}"
            time.sleep(0.1)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program.write(tmp_path / "project", PROGRAM, plugins=["factory-host"])


@pytest.mark.long
@pytest.mark.engine
def test_it_answers_as_predicted(
    machine: machines.Machine, around: Callable[[bytes | Path], Surroundings], program: Program, tmp_path: Path
) -> None:
    """TPX-03, TPX-06, TPX-176 to TPX-180, TPX-210 to TPX-218, TPX-256, through the engine, with real Traefik."""
    tool = toolchain.locate("traefik")
    if tool is None:
        pytest.skip("no traefik: `./factory test --long` gets it")
    site = around(tool.path)
    visitor = Visitor(machine.address, site.authority)

    def values(gateway: Mapping[str, Any]) -> dict[str, Any]:
        return {"gateway": gateway, "private_key": machine.keys.private_key}

    def answers(prediction: Prediction) -> None:
        """Each predicted address leads to the predicted server."""
        servers = {service.name: service.url for service in prediction.services}
        names = {f"http://{site.address}:{port}": name for name, port in site.ports.items()}
        for router in prediction.routers:
            (url,), (service,) = router.urls, router.services
            place = urlsplit(url)
            visitor.finds(url, f"{names[servers[service]]} {place.netloc} {place.path}", log)

    def log() -> str:
        return machine.run("journalctl", "--unit", UNIT, "--output", "cat").stdout[-4000:] + str(site.authority.refused)

    routes, prediction = guests(site, "wiki", "media")
    given = site.gateway(machine, routes)
    program.up(**values(given))
    answers(prediction)
    assert visitor.ask("http://wiki.example.test/wiki")[:2] == (301, "https://wiki.example.test/wiki")
    assert site.authority.contacts == ["mailto:admin@example.test"]
    assert sorted(site.authority.issued) == ["media.example.test", "wiki.example.test"]
    assert machine.run("stat", "--format", "%a %U", STORAGE).stdout == "600 traefik-gateway\n"
    assert [hint["port"] for hint in program.outputs()["firewall"]] == [80, 443, 443]
    program.unchanged(**values(given))

    # One more route: one file, and Traefik goes on.
    begun, ssh = started(machine, UNIT), started(machine, "ssh.service")
    routes, prediction = guests(site, "wiki", "media", "notes")
    given = site.gateway(machine, routes)
    changed = f'desired.files["{ROUTES}"].content'
    assert program.steps(**values(given)) == {"gateway": ["update", changed]}
    program.up(**values(given))
    answers(prediction)
    assert started(machine, UNIT) == begun

    # One more entry point: one file, and Traefik alone begins anew, with the certificates it has.
    given |= {"entry_points": {"queue": 8883}}
    assert program.steps(**values(given)) == {"gateway": ["update", f'desired.files["{STATIC}"].content']}
    program.up(**values(given))
    answers(prediction)
    assert (started(machine, UNIT) != begun, started(machine, "ssh.service")) == (True, ssh)
    assert visitor.ask("http://wiki.example.test:8883/")[0] == 404
    assert len(site.authority.issued) == 3
    program.unchanged(**values(given))

    looked_after(given, machine, Project.copy_to(tmp_path / "checkout", tmp_path / "state"))

    # What Traefik holds is nobody's to delete.
    program.run("destroy", "--yes", "--skip-preview", "--run-program=false")
    assert machine.run("systemctl", "is-active", UNIT, check=False).stdout == "inactive\n"
    assert not machine.path(STATIC).exists()
    assert "media.example.test" in machine.path(STORAGE).read_text()


def looked_after(gateway: Mapping[str, Any], machine: machines.Machine, project: Project) -> None:
    """`doctor` finds everything right, and names what is not."""
    marks = {"hosts": ["gateway.example.test"]}
    config = {"pulumi:disable-default-providers": ["*"], "factory:environment": "prod", "factory:fingerprints": marks}
    project.configure("edge", {"config": config | {"factory:traefik_gateway": dict(gateway)}})
    (found,) = json.loads(project.factory("doctor", "hosts", "--stack", "edge", "--json").stdout)
    assert (found["host"], found["ok"], found["error"]) == ("traefik_gateway", True, "")
    assert {"TPX-181-traefik", "TPX-186-certificates", "TPX-218-redirection"} < {one["name"] for one in found["checks"]}
    machine.run("systemctl", "stop", UNIT)
    done = project.factory("doctor", "hosts", "traefik_gateway", "--stack", "edge", check=False)
    assert done.returncode == 1
    for line in (
        f"FAILED  TPX-181-traefik (unit {UNIT}): expected active, found inactive",
        "FAILED  TPX-218-redirection (http http://127.0.0.1:80/): expected status 301, found",
        "-> another program listens on that port, or Traefik does not run",
    ):
        assert line in done.stdout
