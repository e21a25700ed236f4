"""What a change touches on a real gateway: its role, the containers that read it, and nothing else."""

from __future__ import annotations

import pytest

from tests.support.gateway_device import Device
from tests.support.managed_host import started

pytestmark = [pytest.mark.engine, pytest.mark.long]

CONTAINERS = ("adguard", "backend", "mosquitto", "nginx", "node-exporter", "traefik")
SERVICES = ("dnsmasq", "avahi-daemon", "docker", "cabin-firewall", "systemd-networkd", "monitor")


def beginnings(device: Device) -> dict[str, str]:
    units = [f"container-{name}" for name in CONTAINERS] + list(SERVICES)
    return {unit: started(device.machine, f"{unit}.service") for unit in units}


def restarted(device: Device, before: dict[str, str]) -> set[str]:
    now = beginnings(device)
    return {unit for unit in now if now[unit] != before[unit]}


def test_a_run_without_changes_starts_nothing(gateway: Device) -> None:
    """CM5-150."""
    before = beginnings(gateway)
    gateway.up()
    gateway.program.unchanged(**gateway.values())
    assert restarted(gateway, before) == set()


def test_a_template_restarts_its_own_service(gateway: Device) -> None:
    """CM5-272."""
    before = beginnings(gateway)
    gateway.up(device_segment={"dhcp_lease_time": "6h"})
    assert restarted(gateway, before) == {"dnsmasq"}


def test_another_version_touches_images_pages_and_containers_only(gateway: Device) -> None:
    """CM5-262, CM5-274."""
    change = {"version": "2.2.0", "device_segment": {"dhcp_lease_time": "6h"}}
    gateway.up(device_segment=change["device_segment"])
    assert set(gateway.steps(**change)) == {"frontend", "compose"}
    before = beginnings(gateway)
    gateway.up(**change)
    assert restarted(gateway, before) == {"container-backend", "container-nginx"}
    page = gateway.machine.run("curl", "--silent", "http://10.0.1.1/").stdout
    assert page == "the pages of 2.2.0\n"


def test_a_rotated_secret_restarts_the_container_that_reads_it(gateway: Device) -> None:
    """CM5-214, CM5-274."""
    gateway.up()
    before = beginnings(gateway)
    gateway.secrets["camera_key"] = "another-key"
    assert set(gateway.steps()) == {"container-backend", "compose"}
    gateway.up()
    assert restarted(gateway, before) == {"container-backend"}
    pid = gateway.machine.run("systemctl", "show", "--property=MainPID", "--value", "container-backend").stdout.strip()
    assert b"CAMERA_KEY=another-key" in gateway.machine.path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_what_somebody_changed_is_repaired_alone(gateway: Device) -> None:
    """CM5-206, CM5-267: a refresh compares with the machine."""
    gateway.up()
    machine = gateway.machine
    machine.run("sed", "-i", "s/10.0.1.100/10.0.1.50/", "/etc/dnsmasq.d/cabin.conf")
    machine.run("nft", "delete", "table", "inet", "cabin_gateway")
    machine.run("umount", "/var/log/cabin")
    # The owner of the log directory is seen where it now is: below the missing mount.
    assert set(gateway.steps()) == {"dhcp", "firewall", "data", "common"}
    gateway.up()
    assert gateway.failed_checks() == {}


def test_the_public_name_in_the_device_s_file_is_the_next_plan_s(gateway: Device) -> None:
    """CM5-62, CM5-132, CM5-171, CM5-207: who reads it follows in one run; emptied, the default holds again."""
    gateway.up()
    file = gateway.machine.path("/home/cabin/domain.txt")
    file.write_text("Own.Example.Test\n")
    planned = gateway.steps()
    assert planned.pop("facts") == ["update", "found.wan_domain"]
    assert set(planned) == {"common", "container-traefik", "container-adguard", "compose"}
    gateway.up()
    assert gateway.outputs()["wan_domain"] == "own.example.test"
    assert gateway.failed_checks() == {}
    gateway.program.unchanged(**gateway.values())

    file.write_text("no domain\n")
    assert "domain.txt says 'no domain', which is no domain name" in gateway.refused()
    file.unlink()
    gateway.up()
    assert gateway.outputs()["wan_domain"] == "home.example.test"
