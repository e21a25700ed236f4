"""A gateway's data over a real OpenSSH connection, as a user who becomes root: with a password, and without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from components.cm5_gateway import Gateway
from components.cm5_gateway.archive import Device
from components.host.transport_ssh import Login, SshTransport
from tests.support.gateway import CLASSIC, gateway_args, merged
from tests.support.machine_image import CAREFUL, DEPLOYER, PASSWORD
from tests.support.machines import Machine
from tests.support.project import Project

KEY = "/opt/data/authority/ca.key"


def ask(machine: Machine, work: Callable[[Device], Awaitable[Any]], user: str, sudo: str) -> Any:
    connection = {
        "address": machine.address,
        "user": user,
        "host_key": machine.keys.host_key,
        "sudo": sudo,
        "ssh_config": None,
    }
    gateway = Gateway.of(
        gateway_args(connection=connection, storage={"bind_mounts": False}, lan={"address": "10.20.0.14"})
    )

    async def connected() -> Any:
        transport = SshTransport(gateway.connection, Login(machine.keys.private_key))
        try:
            return await work(Device(gateway, transport, sudo_password=PASSWORD if sudo == "password" else None))
        finally:
            await transport.close()

    return asyncio.run(connected())


@pytest.mark.parametrize(("user", "sudo"), [(DEPLOYER, "passwordless"), (CAREFUL, "password")])
def test_keys_come_back_with_owner_and_mode(machine: Machine, user: str, sudo: str, tmp_path: Path) -> None:
    machine.run("mkdir", "-p", "/opt/data/authority", "/opt/data/mosquitto/data")
    machine.run("sh", "-c", f"umask 077; echo key > {KEY}; head -c 3000000 /dev/urandom > /opt/data/mosquitto/data/db")
    machine.run("chown", "-R", "1883:1883", "/opt/data/mosquitto")
    sums = ("sha256sum", KEY, "/opt/data/mosquitto/data/db")
    before = machine.run(*sums).stdout
    file = tmp_path / "cabin.tar.gz"
    done = ask(machine, lambda device: device.backup(file, "2030-01-02T03:04:05+00:00"), user, sudo)
    assert done["manifest"]["paths"] == ["/opt/data/authority", "/opt/data/mosquitto"]
    machine.run("sh", "-c", f"echo other > {KEY}; rm -r /opt/data/mosquitto")
    ask(machine, lambda device: device.restore(file, stop=False, other_gateway=False), user, sudo)
    assert machine.run(*sums).stdout == before
    shown = machine.run("stat", "--format", "%a %u", KEY, "/opt/data/mosquitto/data/db").stdout.split()
    assert shown == ["600", "0", "600", "1883"]
    assert machine.run("ls", "--almost-all", "/opt/data").stdout.split() == ["authority", "mosquitto"]


@pytest.mark.long
def test_the_command_saves_and_puts_back(machine: Machine, tmp_path: Path) -> None:
    """As a person runs it: `./factory cm5`, with a stack that describes the gateway."""
    project = Project.copy_to(tmp_path / "checkout", tmp_path / "state")
    connection = {
        "address": machine.address,
        "user": "root",
        "host_key": machine.keys.host_key,
        "identity_file": str(machine.keys.client),
        "sudo": "none",
        "ssh_config": None,
    }
    gateway = merged(CLASSIC, {"connection": connection, "lan": {"address": "10.20.0.14"}})
    config = {
        "pulumi:disable-default-providers": ["*"],
        "factory:environment": "prod",
        "factory:fingerprints": {"hosts": ["gateway.example.test"]},
        "factory:cm5_gateway": gateway,
    }
    project.configure("site", {"config": config})
    store = "/opt/data/config/traefik/acme/acme.json"
    machine.run("mkdir", "-p", store.rpartition("/")[0])
    machine.run("sh", "-c", f"umask 077; echo certificates > {store}")
    file = tmp_path / "cabin.tar.gz"
    said = project.factory("cm5", "backup", str(file), "--stack", "site").stdout
    assert "saved /opt/data/config/traefik/acme\n" in said
    assert f"wrote {file} (0.0 MiB) and {file}.sha256" in said
    machine.run("rm", "-r", "/opt/data/config/traefik")
    project.factory("cm5", "restore", str(file), "--stack", "site")
    assert machine.run("cat", store).stdout == "certificates\n"
