"""The gateway's Compose project as a container of a real Docker daemon: mounts, ports, and what doctor asks there."""

from __future__ import annotations

import http.client
import io
import json
import os
import shlex
import shutil
import ssl
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import toolchain
from components.host.checks import judge
from components.traefik_gateway import Machine, TransformArgs, configuration, parse
from components.traefik_gateway.args_gateway import TraefikGatewayArgs
from components.traefik_gateway.checks import machine_checks
from components.traefik_gateway.render_gateway import (
    NAME,
    UNIT,
    compose_project,
    desired_state,
    static_configuration,
    static_path,
    written,
)
from tests.support.acme_authority import Authority
from tests.support.docker_daemon import Daemon, daemon, dockerd
from tests.support.labels import application
from tests.support.web_servers import free_port, web_server

BUSYBOX = shutil.which("busybox")
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsP7ln2d0yMP6LrsCmLVKqg9I6ZDZzsS9tEqJ9LDrFF"
NETWORK = f"{NAME}_default"
SECONDS = 120.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not (dockerd() and BUSYBOX), reason="needs root, dockerd and a static busybox"),
]


def laid_out(args: TraefikGatewayArgs) -> None:
    """Put everything below the gateway's directory that its role puts there."""
    state = desired_state(args)
    for path, directory in state.directories.items():
        Path(path).mkdir(int(directory.mode, 8), parents=True)
    for path, file in state.files.items():
        Path(path).write_text(file.content or written(static_configuration(args)), "utf-8")
        Path(path).chmod(int(file.mode, 8))
    assert static_path(args) in state.files
    subprocess.run(state.steps["acme-storage"].run, check=True)


def served(docker: Daemon, args: TraefikGatewayArgs, verb: str) -> None:
    """Run what the machine's service runs to start or to stop the project."""
    unit = desired_state(args).units[UNIT].unit
    assert unit is not None
    command = shlex.split(str(unit["Service"][verb]))
    done = subprocess.run(command, env=os.environ | docker.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def imported(docker: Daemon, program: Path, image: str) -> None:
    """Make the image: the program, which is what runs."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(program, "traefik")
    command = ["docker", "import", "--change", 'ENTRYPOINT ["/traefik"]', "-", image]
    environment = os.environ | docker.environment
    subprocess.run(command, input=archive.getvalue(), env=environment, check=True, capture_output=True)


def ask(port: int, host: str, path: str, *, secure: bool) -> tuple[int, str, str]:
    """Ask the gateway for a page of this host; its certificate is its own, for no authority can reach it here."""
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        if secure:
            connection.connect()
            connection.sock = trust.wrap_socket(connection.sock, server_hostname=host)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read().decode()
    finally:
        connection.close()


def eventually(asked: Callable[[], object], wanted: object, log: Callable[[], str]) -> None:
    end, found = time.monotonic() + SECONDS, None
    while found != wanted:
        try:
            found = asked()
        except (OSError, http.client.HTTPException) as error:
            found = str(error)
        assert time.monotonic() < end, f"{found}\n{log()}"
        time.sleep(0.1)


def test_the_project_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TPX-181 to TPX-188: no flag beside the file, the dashboard on loopback alone, certificates in a file of 0600."""
    tool, compose = toolchain.locate("traefik"), toolchain.locate("docker-compose")
    if tool is None or compose is None:
        pytest.skip("no traefik or no docker-compose: `./factory test --long` gets them")
    plain, secure, dashboard = free_port(), free_port(), free_port()
    args = TraefikGatewayArgs.model_validate(
        {
            "host": {"address": "203.0.113.10", "host_key": HOST_KEY},
            "acme": {"email": "admin@example.test", "server": "https://127.0.0.1:1/directory"},
            "directory": str(tmp_path / "gateway"),
            "http_port": plain,
            "https_port": secure,
            "dashboard_port": dashboard,
        }
    )
    laid_out(args)
    with daemon(tmp_path, Path(BUSYBOX or ""), compose.path) as docker:
        imported(docker, tool.path, args.image)
        served(docker, args, "ExecStart")
        try:
            (known,) = json.loads(docker.docker("network", "inspect", NETWORK))
            here = known["IPAM"]["Config"][0]["Gateway"]
            with web_server("local traefik", here) as port:
                model = parse([application("wiki", "Host(`wiki.example.test`)")])
                routes = configuration([Machine("home", here, model, TransformArgs(traefik_local_port=port))]).document
                # Traefik watches the directory.
                (tmp_path / "gateway/dynamic/routes.yml").write_text(written(routes), "utf-8")

                def log() -> str:
                    return docker.docker("logs", NAME)

                text = "local traefik wiki.example.test /x"
                eventually(lambda: ask(secure, "wiki.example.test", "/x", secure=True)[2], text, log)
                location = f"https://wiki.example.test:{secure}/x"
                assert ask(plain, "wiki.example.test", "/x", secure=False)[:2] == (301, location)
                assert ask(secure, "other.example.test", "/", secure=True)[0] == 404
                assert ask(dashboard, "localhost", "/api/rawdata", secure=False)[0] == 200
                assert docker.docker("port", NAME, str(dashboard)).split() == [f"127.0.0.1:{dashboard}"]
                assert (tmp_path / "gateway" / "acme.json").stat().st_mode & 0o777 == 0o600
                before = docker.docker("ps", "--no-trunc", "--quiet")
                served(docker, args, "ExecStart")
                assert docker.docker("ps", "--no-trunc", "--quiet") == before
                for name, value in docker.environment.items():
                    monkeypatch.setenv(name, value)
                assert [one.name for one in looked_at(args) if not one.ok] == []
                docker.docker("stop", NAME)
                assert [one.name for one in looked_at(args) if not one.ok] == ["TPX-181-traefik"]
        finally:
            served(docker, args, "ExecStop")
        assert docker.docker("ps", "--all", "--quiet") == ""
        assert NETWORK not in docker.docker("network", "ls", "--format", "{{.Name}}").split()


def test_compose_reads_every_option_as_it_is_meant(tmp_path: Path) -> None:
    """TPX-181, TPX-182, TPX-188: each mount and each port is what its line says, and nothing is left out."""
    compose = toolchain.locate("docker-compose")
    if compose is None:
        pytest.skip("no docker-compose: `./factory test --long` gets it")
    authority = Authority("127.0.0.1", "127.0.0.1").pem
    args = TraefikGatewayArgs.model_validate(
        {
            "host": {"address": "203.0.113.10", "host_key": HOST_KEY},
            "acme": {"email": "admin@example.test", "server": "https://acme.example.test", "ca_pem": authority},
            "plugin": {"endpoint": "https://pve.example.test:8006", "token_id": "a@pve!b", "ca_pem": authority},
            "entry_points": {"ssh": 2222},
            "dashboard_port": 8080,
            "docker_provider": True,
        }
    )
    project = compose_project(args)
    (tmp_path / "compose.yml").write_text(written(project), "utf-8")
    command = [str(compose.path), "--file", str(tmp_path / "compose.yml"), "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (written_service,) = project["services"].values()
    (service,) = json.loads(done.stdout)["services"].values()
    mounts = [(mount["source"], mount["target"], mount.get("read_only", False)) for mount in service["volumes"]]
    lines = [str(line).replace("./", f"{tmp_path}/", 1).split(":") for line in written_service["volumes"]]
    assert mounts == [(source, target, mode == ["ro"]) for source, target, *mode in lines]
    ports = [[port.get("host_ip"), port["published"], str(port["target"])] for port in service["ports"]]
    assert ports == [[None, *line.split(":")][-3:] for line in written_service["ports"]]
    same = ("container_name", "image", "restart", "security_opt")
    assert {key: service[key] for key in same} == {key: written_service[key] for key in same}


def looked_at(args: TraefikGatewayArgs) -> Any:
    """Judge the checks that are commands, run here as the agent runs them on the machine."""
    checks = {name: check for name, check in machine_checks(args).items() if check.command}
    seen = {}
    for name, check in checks.items():
        done = subprocess.run(check.command or (), check=False, capture_output=True, text=True)
        seen[name] = {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    return judge(checks, seen)
