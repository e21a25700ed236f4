"""What goes wrong on a real gateway: a disk with data, a network that cuts it off, a power cut in every role."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.support.gateway_device import Device
from tests.support.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.long]

SECONDS = 180
PATIENCE = 8
"""How long the gateway waits to be reached again, in these tests."""


@pytest.fixture
def device(bare: Device) -> Device:
    """The machine as it comes, and nothing known of it."""
    bare.machine.reset()
    bare.forget()
    return bare


def test_a_disk_that_holds_data_is_refused_byte_for_byte(device: Device) -> None:
    """CM5-147, CM5-254, CM5-263: before anything is planned, also where the disk was exchanged after the plan."""
    disk = device.machine.disk
    subprocess.run(["mkfs.ext4", "-q", "-L", "photos", disk.path], check=True)
    before = disk.digest
    said = device.refused()
    assert f"{disk.path} is not formatted: it holds ext4 in 0 partitions" in said
    assert "storage.erase_serial" in said
    assert disk.digest == before
    assert device.machine.run("sh", "-c", "ls /etc/systemd/network").stdout == ""


def test_a_house_that_gives_no_address_gets_its_old_network_back(device: Device) -> None:
    """CM5-142: nobody reaches the gateway any more, so it takes the change back by itself; later all is well."""
    device.machine.site.stop_router()
    said = device.refused(confirm_seconds=PATIENCE)
    assert "cabin.network" in said
    until(device.machine.answers, SECONDS)
    machine = device.machine
    until(lambda: machine.run("sh", "-c", "ls /etc/systemd/network").stdout == "", SECONDS)
    assert machine.run("systemctl", "is-active", "dhcpcd.service").stdout == "active\n"
    device.machine.site.start_router()
    device.up()
    device.program.unchanged(**device.values())


def test_a_firewall_that_locks_everybody_out_is_taken_back(device: Device) -> None:
    """CM5-142, CM5-215: a container claims the port by which the gateway is reached."""
    device.up(confirm_seconds=PATIENCE)
    rules = device.machine.path("/etc/cabin/firewall.nft").read_text()
    forge = {"image": "registry.example.test/cabin/backend:2.1.0", "listens": [{"port": 22}]}
    said = device.refused(confirm_seconds=PATIENCE, containers={"forge": forge})
    assert "cabin.firewall" in said
    until(device.machine.answers, SECONDS)
    until(lambda: device.machine.path("/etc/cabin/firewall.nft").read_text() == rules)
    device.up(confirm_seconds=PATIENCE)
    device.program.unchanged(**device.values(confirm_seconds=PATIENCE))


def test_a_power_cut_in_every_role_is_healed_by_the_next_run(device: Device) -> None:
    """CM5-147, CM5-150: each run gets one role further, and the last one to the end."""
    for role in device.roles():
        cut_in(device, role)
    device.up()
    assert device.failed_checks() == {}
    device.program.unchanged(**device.values())


def test_a_gateway_that_lost_its_power_comes_back_by_itself(device: Device) -> None:
    """CM5-145, CM5-148, CM5-183: with its disk, its authority and its containers; the next run has nothing to do."""
    device.up()
    machine = device.machine
    authority = machine.path("/opt/data/authority/ca.key").read_text()
    machine.power_cut()
    until(lambda: device.failed_checks() == {}, SECONDS)
    assert machine.path("/opt/data/authority/ca.key").read_text() == authority
    device.program.unchanged(**device.values())


def cut_in(device: Device, role: str) -> None:
    """Run until something is done on the machine for a role, and cut its power there; a finished role is passed by."""
    begun = re.compile(rf"HostState cabin\.{re.escape(role)} (creating|updating) .*\[\d+/\d+\]")
    process = device.program.start("up", "--refresh", "--yes", "--skip-preview", values=device.values())
    log = device.program.folder / "run.log"
    deadline = time.monotonic() + SECONDS
    while process.poll() is None:
        if begun.search(log.read_text("utf-8", "replace")):
            device.machine.power_cut()
            break
        assert time.monotonic() < deadline, log.read_text("utf-8", "replace")[-2000:]
        time.sleep(0.02)
    process.wait(SECONDS)
