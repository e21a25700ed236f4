"""A gateway's containers on this machine: the roles that make them, applied to a real daemon by the real Compose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.cm5_gateway import CM5GatewayArgs, Gateway
from components.cm5_gateway.render import roles
from components.cm5_gateway.role import Role
from components.host.agent.runner import Done, Runner
from tests.support.docker_daemon import Daemon, daemon
from tests.support.docker_registry import Registry, registry
from tests.support.gateway import GATEWAY, SECRETS, merged

PRODUCT = "cabin"
REPOSITORIES = ("nginx", "traefik", "adguard", "frontend", "backend", "mosquitto", "node-exporter")
VERSIONS = ("2.1.0", "2.2.0")
# What every image runs, whatever it is told: it waits, and ends when it is asked to.
_WAIT = b"#!/bin/sh\ntrap exit TERM\nwhile :; do sleep 1; done\n"


@dataclass
class DockerGateway:
    """A gateway of which only the containers are made, with its data in a folder. Use :func:`docker_gateway`."""

    docker: Daemon
    registry: Registry
    folder: Path
    busybox: bytes

    def offer(self, image: str, entrypoint: str = "/bin/wait") -> str:
        """Put an image in the registry, `repository:tag`, that waits; give the name by which it is pulled."""
        links = dict.fromkeys(("bin/sleep", "bin/cat", "bin/touch"), "sh")
        programs = {"bin/sh": self.busybox, "bin/wait": _WAIT, "opt/adguardhome/AdGuardHome": _WAIT} | links
        pages = {"usr/share/nginx/html/index.html": f"the pages of {image.rpartition(':')[2]}\n".encode()}
        return self.registry.publish(image, programs, pages, entrypoint=[entrypoint])

    def described(self, **changes: Any) -> Gateway:
        """Describe it; a keyword changes a section in depth."""
        images = {name: {"image": f"{self.registry.address}/{name}:{{version}}"} for name in REPOSITORIES}
        own = {name: images.pop(name) for name in ("nginx", "traefik", "adguard", "frontend")}
        here: dict[str, Any] = {
            **own,
            "containers": images,
            "data_dir": str(self.folder / "data"),
            "domain_file": str(self.folder / "domain.txt"),
            "lan": {"address": "10.20.0.14"},
            # No disk of its own, so nothing has to be mounted.
            "storage": None,
        }
        return Gateway.of(CM5GatewayArgs.model_validate(merged(merged(GATEWAY, here), changes)))

    def up(self, *, secrets: Mapping[str, str] = SECRETS, **changes: Any) -> list[str]:
        """Apply the roles of the containers; give the steps that had to run. A failed one is an AssertionError."""
        gateway = self.described(**changes)
        found = roles(gateway)
        names = [*(name for name in found if name.startswith("container-")), "frontend", "compose"]
        return [f"{name}:{step}" for name in names for step in self._applied(found[name], secrets)]

    def write(self, role: Role, secrets: Mapping[str, str]) -> None:
        """Put the directories and files of a role where they belong, each file judged first."""
        desired = role.desired
        for path, directory in desired.directories.items():
            Path(path).mkdir(int(directory.mode, 8), parents=True, exist_ok=True)
        for path, file in desired.files.items():
            given = role.secret_files.get(path)
            text = file.content if given is None else given.text({name: secrets[name] for name in given.secrets})
            assert text is not None, path
            new = Path(f"{path}.new")
            # Some lie in a directory of another role.
            new.parent.mkdir(parents=True, exist_ok=True)
            new.touch(int(file.mode, 8))
            new.write_text(text, "utf-8")
            if file.validate_with:
                self.run(*(str(new) if word == "%s" else word for word in file.validate_with))
            new.rename(path)

    def run(self, *command: str, timeout: float = 120) -> str:
        """Run a command as the agent runs it; give what it says."""
        done = self.attempt(*command, timeout=timeout)
        assert done.status == 0, f"{command}: {done.status}: {done.stderr}"
        return done.stdout

    def attempt(self, *command: str, timeout: float = 120) -> Done:
        """Run a command that may fail as the agent runs it."""
        return Runner().run(command, timeout=timeout, environment=self.docker.environment)

    def compose(self, *arguments: str) -> str:
        """Ask Compose about the containers."""
        return self.run("docker", "compose", "--file", self.described().compose_file, *arguments)

    def containers(self) -> dict[str, str]:
        """Each container that runs, by its name: which one it is, and since when."""
        names = self.docker.docker("ps", "--format", "{{.Names}}").split()
        return {name: f"{found['Id']} {found['State']['StartedAt']}" for name, found in self._inspected(*names)}

    def inspect(self, name: str) -> Mapping[str, Any]:
        """What the daemon says of a container."""
        ((_, found),) = self._inspected(f"{PRODUCT}-{name}")
        return found

    def _inspected(self, *names: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if names:
            for found in json.loads(self.docker.docker("inspect", *names)):
                yield found["Name"].removeprefix("/"), found

    def _applied(self, role: Role, secrets: Mapping[str, str]) -> Iterator[str]:
        self.write(role, secrets)
        for name, step in role.desired.steps.items():
            if step.creates and Path(step.creates).exists():
                continue
            if step.unless and self.attempt(*step.unless).status == 0:
                continue
            self.run(*step.run, timeout=step.timeout)
            yield name


@contextmanager
def docker_gateway(folder: Path, busybox: Path, compose: Path) -> Iterator[DockerGateway]:
    """Run a daemon with a registry that has the images of a gateway, in two versions."""
    with registry() as offered, daemon(folder, busybox, compose) as docker:
        gateway = DockerGateway(docker, offered, folder, busybox.read_bytes())
        for repository in REPOSITORIES:
            for version in VERSIONS:
                gateway.offer(f"{repository}:{version}")
        yield gateway
