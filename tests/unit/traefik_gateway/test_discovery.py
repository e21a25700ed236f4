"""Asking machines for their containers: engines that answer, refuse, fail and lie, and several machines at once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.host.transport import UnreachableError
from components.host.transport_local import LocalTransport
from components.traefik_gateway import discovery
from components.traefik_gateway.discovery import (
    DiscoveryError,
    Reason,
    containers_from,
    discover,
    discover_all,
    inspection,
    read_listing,
)
from components.traefik_gateway.labels import Container
from tests.support.docker_daemon import daemon, dockerd

RULE = "Host(`a.example.test`) && Query(`q=%2F`) || Header(`X`, `a\tb`) é"
INSPECTED = {
    "name": "/app",
    "state": "running",
    "labels": {"traefik.http.routers.app.rule": RULE, "other": "x"},
    "network": "bridge",
    "ports": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}], "53/udp": None},
}
"""What the inspection prints for one container, as Docker 20.10 does."""

ENGINE = """\
#!/bin/sh
# An engine that answers as the real one does, and writes down what it was asked.
printf '%s\\n' "$*" >>"$0.asked"
[ ! -e "$0.words" ] || {{ cat "$0.words" >&2; exit 1; }}
case $1 in
  ps) cat "$0.ids" ;;
  inspect) cat "$0.found"; [ ! -e "$0.fail" ] || {{ rm "$0.fail"; echo 'Error: No such container' >&2; exit 1; }} ;;
esac
"""
SUDO = (
    '#!/bin/sh\n[ "$1" = -n ] || exit 1\nshift\n[ "$1" != -- ] || shift\nrm -f "$(command -v "$1").words"\nexec "$@"\n'
)


class Machine:
    """A folder of programs that come first on PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def engine(self, *inspected: dict[str, Any], name: str = "docker", words: str = "", fail: bool = False) -> Path:
        """Install an engine with these containers; `words` make it fail, `fail` its first inspection."""
        program = self.program(name, ENGINE.format())
        self.monkeypatch.setattr(discovery, "ENGINES", (name,))
        (self.folder / f"{name}.ids").write_text("".join(f"id{number}\n" for number in range(len(inspected))))
        (self.folder / f"{name}.found").write_text("".join(json.dumps(one) + "\n" for one in inspected))
        if words:
            (self.folder / f"{name}.words").write_text(words)
        if fail:
            (self.folder / f"{name}.fail").touch()
        return program

    def program(self, name: str, text: str) -> Path:
        """Install a program."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def asked(self, name: str = "docker") -> list[str]:
        """Return what the engine was asked."""
        return (self.folder / f"{name}.asked").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def ask(command: str | None = None, seconds: float = 20) -> list[Container]:
    """Ask this machine."""

    async def work() -> list[Container]:
        transport = LocalTransport()
        try:
            return await discover(transport, command, seconds=seconds)
        finally:
            await transport.close()

    return asyncio.run(work())


def refused(reason: Reason, said: str, command: str | None = None) -> str:
    """Assert that asking fails so, and return the message."""
    with pytest.raises(DiscoveryError, match=said) as caught:
        ask(command)
    assert caught.value.reason is reason
    return str(caught.value)


def test_names_labels_and_ports_by_two_questions(machine: Machine) -> None:
    """TPX-43, TPX-51: no other field of a container leaves the machine."""
    machine.engine(INSPECTED | {"name": "/zoo"}, INSPECTED)
    labels = INSPECTED["labels"]
    assert ask() == [Container("app", labels, "running", (8080,)), Container("zoo", labels, "running", (8080,))]  # type: ignore[arg-type]
    listed, inspected = machine.asked()
    assert listed == "ps --quiet --no-trunc"
    assert inspected.startswith("inspect --type container --format {")
    assert "Env" not in inspected


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_no_containers_are_an_empty_list_and_no_error(machine: Machine, engine: str) -> None:
    """TPX-50, TPX-242."""
    machine.engine(name=engine)
    assert ask() == []
    assert machine.asked(engine) == ["ps --quiet --no-trunc"]


def test_a_container_that_ends_in_between_is_no_error(machine: Machine) -> None:
    machine.engine(INSPECTED, fail=True)
    assert [one.name for one in ask()] == ["app"]
    assert len(machine.asked()) == 4


def test_the_engine_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """TPX-41."""
    monkeypatch.setattr(discovery, "ENGINES", ("no-such-engine",))
    refused(Reason.NO_ENGINE, "this machine: neither no-such-engine is installed")


def test_sudo_is_used_only_where_it_is_needed(machine: Machine) -> None:
    """TPX-44, TPX-220."""
    machine.program("sudo", SUDO)
    machine.engine(INSPECTED)
    ask()
    assert len(machine.asked()) == 2
    machine.engine(INSPECTED, words="Got permission denied while trying to connect to the Docker daemon socket")
    assert len(ask()) == 1


def test_a_login_without_the_right_is_told_the_line_for_sudoers(machine: Machine) -> None:
    """TPX-45, TPX-220."""
    machine.program("sudo", "#!/bin/sh\necho 'a password is required' >&2\nexit 1\n")
    machine.engine(INSPECTED, words="Got permission denied while trying to connect to the Docker daemon socket")
    said = refused(Reason.REFUSED, "may not use the container engine")
    assert "NOPASSWD: /usr/bin/docker" in said


def test_a_daemon_that_is_down(machine: Machine) -> None:
    machine.program("sudo", "#!/bin/sh\nexit 1\n")
    machine.engine(words="Cannot connect to the Docker daemon. Is the docker daemon running?")
    refused(Reason.BROKEN, "the container engine does not answer: Cannot connect")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (b"", "first or last line is missing"),
        (b"factory-containers docker\n", "first or last line is missing"),
        (b'factory-containers docker\n{"name":"a","labels":', "first or last line is missing"),
        (b"Welcome to the machine\nfactory-end\n", "first or last line is missing"),
        (b"factory-containers docker\nnot json\nfactory-end\n", "line 2"),
        (b"factory-containers docker\n{}\nfactory-end\n", "a container has no name"),
        (b'factory-containers docker\n{"name":"a","labels":[]}\nfactory-end\n', "labels of 'a'"),
        (b'factory-containers docker\n{"name":"a","labels":{"x":1}}\nfactory-end\n', "labels of 'a'"),
        (b"factory-containers docker\n" + b"[" * 100_000 + b"\nfactory-end\n", "line 2"),
    ],
)
def test_what_is_no_listing_is_never_an_empty_one(output: bytes, said: str) -> None:
    """TPX-50, TPX-222: a list that was cut off must not delete routes."""
    with pytest.raises(DiscoveryError, match=said) as caught:
        read_listing(output, "web")
    assert caught.value.reason is Reason.MALFORMED
    assert str(caught.value).startswith("web: ")


def test_an_engine_that_hangs_and_one_that_talks_too_much(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.program("docker", "#!/bin/sh\nexec sleep 2\n")
    with pytest.raises(DiscoveryError, match=r"did not end within 0\.5 s") as caught:
        ask(seconds=0.5)
    assert caught.value.reason is Reason.UNREACHABLE
    monkeypatch.setattr(discovery, "MAX_BYTES", 1000)
    machine.engine(*[INSPECTED] * 50)
    refused(Reason.MALFORMED, "no list of containers")


def test_an_installed_inspection_is_all_that_the_login_may_run(machine: Machine) -> None:
    """TPX-208: the same program, as a file on the machine."""
    machine.program("sudo", SUDO)
    machine.engine(INSPECTED)
    installed = machine.program("factory-containers", f"#!/bin/sh\n{inspection()}")
    assert [one.name for one in ask(str(installed))] == ["app"]


def test_published_ports() -> None:
    def published(**changed: Any) -> tuple[int, ...] | None:
        text = json.dumps([INSPECTED | changed])
        return containers_from(text, "x")[0].published

    assert published() == (8080,)
    assert published(network="host") is None
    assert published(ports=None) is None
    assert published(ports={}) == ()
    assert published(ports={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}) == ()


def test_the_output_of_docker_inspect_is_read_offline() -> None:
    """TPX-251: both notations of a file; stopped containers are not published."""
    full = {
        "Name": "/app",
        "Config": {"Labels": {"traefik.enable": "true"}, "Env": ["SECRET=1"]},
        "State": {"Status": "running"},
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "10.0.0.6", "HostPort": "80"}]}},
    }
    short = {"name": "app", "labels": {"traefik.enable": "true"}}
    assert containers_from(json.dumps([full]), "f") == [Container("app", short["labels"], "running", (80,))]  # type: ignore[arg-type]
    assert containers_from(json.dumps([short]), "f") == [Container("app", short["labels"])]  # type: ignore[arg-type]
    assert containers_from(json.dumps([short | {"state": "exited"}]), "f") == []
    for broken in ("{}", "[1]", "[{}]", "x", '[{"name":"a","labels":{"b":null}}]', '[{"name":"a","state":1}]'):
        with pytest.raises(DiscoveryError):
            containers_from(broken, "f")


def test_ten_thousand_containers(machine: Machine) -> None:
    machine.engine(*(INSPECTED | {"name": f"/app-{number:05}"} for number in range(10_000)))
    assert len(ask()) == 10_000


def test_machines_are_asked_side_by_side_and_one_failure_hides_no_other() -> None:
    """TPX-196."""
    everybody = asyncio.Barrier(3)

    async def one(name: str) -> list[Container]:
        await everybody.wait()
        if name == "b":
            raise DiscoveryError(Reason.UNREACHABLE, "b does not answer")
        return [Container(name, {})]

    found = asyncio.run(asyncio.wait_for(discover_all({name: name for name in "abc"}, one), 10))
    assert (found["a"], found["c"]) == ([Container("a", {})], [Container("c", {})])
    assert isinstance(found["b"], DiscoveryError)


def test_a_machine_that_cannot_be_reached() -> None:
    class Away(LocalTransport):
        async def start(self, command: str) -> Any:  # noqa: ARG002 - the protocol's signature
            raise UnreachableError("cannot reach web: no answer within 10 s")

    with pytest.raises(DiscoveryError, match="cannot reach web") as caught:
        asyncio.run(discover(Away()))
    assert caught.value.reason is Reason.UNREACHABLE


@pytest.mark.long
@pytest.mark.skipif(not (dockerd() and shutil.which("busybox")), reason="needs root, dockerd and a static busybox")
def test_a_real_docker_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busybox = shutil.which("busybox")
    assert busybox
    with daemon(tmp_path, Path(busybox)) as docker:
        for name, value in docker.environment.items():
            monkeypatch.setenv(name, value)
        assert ask() == []
        docker.run("app", {"traefik.http.routers.app.rule": RULE}, "--network=none", "--env", "SECRET=hidden")
        docker.run("plain", {}, "--network=host")
        docker.run("ended", {"traefik.enable": "true"}, "--network=none")
        docker.docker("kill", "ended")
        assert ask() == [
            Container("app", {"traefik.http.routers.app.rule": RULE}, "running", ()),
            Container("plain", {}, "running", None),
        ]


@pytest.mark.parametrize("char", ["\u0085", "\u2028", "\u2029", "\u000b", "\u001c"])
def test_only_a_line_feed_ends_a_line(char: str) -> None:
    """One label with such a character would otherwise hide all containers of its machine (TPX-222)."""
    item = INSPECTED | {"labels": {"note": f"a{char}b"}}
    output = f"factory-containers docker\n{json.dumps(item, ensure_ascii=False)}\nfactory-end\n"
    assert read_listing(output.encode(), "web")[0].labels == {"note": f"a{char}b"}


@pytest.mark.parametrize("ports", [{"80/tcp": [1]}, {"80/tcp": 3}, {"80/tcp": {"a": "b"}}, {"80/tcp": [None]}])
def test_ports_that_are_none_are_no_traceback(ports: Any) -> None:
    assert containers_from(json.dumps([INSPECTED | {"ports": ports}]), "f")[0].published == ()


@pytest.mark.parametrize("part", ["name", "labels"])
def test_half_a_character_is_told(part: str) -> None:
    """JSON can hold what no notes, no file and no terminal can."""
    broken = INSPECTED | {part: "a\ud800" if part == "name" else {"traefik.enable": "\udc00"}}
    with pytest.raises(DiscoveryError, match="half a character"):
        containers_from(json.dumps([broken]), "f")
