"""The data and the end of a real gateway, by the commands that a person uses: saved, put back, removed, made again."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.support.gateway_device import Device

pytestmark = [pytest.mark.engine, pytest.mark.long]

STACK = "gateway"
KEY = "/opt/data/authority/ca.key"
DATA = "/opt/data/mosquitto/data/messages"


def test_data_outlives_a_mistake_and_the_whole_program(bare: Device, tmp_path: Path) -> None:
    """CM5-183, CM5-213, CM5-258 to CM5-261, CM5-264: the authority and the data are the same at the end."""
    machine = bare.machine
    bare.secrets.pop("cloud_gateway_token", None)
    project = bare.stack(tmp_path, STACK, cloud=None)
    # Its names are those of the tests' gateway.
    project.stack_file("example").unlink(missing_ok=True)
    project.factory("up", "--stack", STACK)
    machine.run("sh", "-c", f"echo message > {DATA}")
    sums = ("sha256sum", KEY, DATA)
    before = machine.run(*sums).stdout

    file = tmp_path / "cabin.tar.gz"
    project.factory("cm5", "backup", str(file), "--stack", STACK)
    machine.run("sh", "-c", f"echo other > {KEY}; rm {DATA}")
    refused = project.factory("cm5", "restore", str(file), "--stack", STACK, check=False)
    assert "these containers run: " in refused.stderr
    project.factory("cm5", "restore", str(file), "--stop", "--stack", STACK)
    assert machine.run(*sums).stdout == before
    done = project.factory("doctor", "cm5", "--stack", STACK, "--json", check=False)
    (found,) = json.loads(done.stdout)
    assert [check for check in found["checks"] if not check["ok"]] == []

    running = ("systemctl", "list-units", "--plain", "--state=running")
    assert project.factory("cm5", "uninstall", "--stack", STACK, check=False).returncode == 2
    assert machine.run("systemctl", "is-active", "dnsmasq.service").stdout == "active\n"
    project.factory("cm5", "uninstall", "--confirm", "cabin", "--stack", STACK)
    assert [urn for urn in project.resources(STACK) if "CM5Gateway" in urn] == []
    gone = ("/etc/dnsmasq.d/cabin.conf", "/etc/cabin/firewall.nft", "/etc/systemd/network/20-eth1.network")
    assert [path for path in gone if machine.path(path).exists()] == []
    assert machine.run("findmnt", "/opt/data", check=False).stdout == ""
    assert "container-" not in machine.run(*running).stdout

    project.factory("up", "--stack", STACK)
    assert machine.run(*sums).stdout == before

    assert "container-" in machine.run(*running).stdout
    project.factory("cm5", "prepare", str(tmp_path / "handover"), "--confirm", "cabin", "--stack", STACK)
    assert "container-" not in machine.run(*running).stdout
    with tarfile.open(tmp_path / "handover/cabin.tar.gz") as saved:
        assert {KEY.lstrip("/"), DATA.lstrip("/")} <= set(saved.getnames())
    assert json.loads((tmp_path / "handover/cabin.json").read_text())
