"""The whole gateway on a machine of its own, made by the real engine, and asked from both sides as its users ask it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import dhcp_client, mdns_client
from tests.support.gateway_device import Device
from tests.support.gateway_site import DEVICE_MAC

pytestmark = pytest.mark.engine

SEGMENT = "10.0.1.1"
NAME, LOCAL, PUBLIC = "hub.example.test", "cabin.local", "home.example.test"
NO_ANSWER = 52
"""How curl ends when the server closes the connection without an answer."""
CURL = ("curl", "--silent", "--max-time", "8")


def words(printed: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in printed.split())


def test_every_check_is_green_and_no_secret_in_the_state(gateway: Device) -> None:
    """CM5-214, CM5-218 to CM5-232, CM5-266: the checklist as `doctor` runs it, on what is really there."""
    assert gateway.failed_checks() == {}
    state = gateway.program.state()
    assert [name for name, value in gateway.values()["secrets"].items() if value in state] == []


def test_a_second_run_finds_nothing_but_the_one_template_that_changed(gateway: Device) -> None:
    """CM5-150, CM5-262, CM5-272, CM5-274: in the plan, compared with the machine."""
    path = 'desired.files["/etc/dnsmasq.d/cabin.conf"].content'
    assert gateway.steps(device_segment={"dhcp_lease_time": "6h"}) == {"dhcp": ["update", path]}


def test_a_device_gets_address_name_and_page_and_nothing_else(gateway: Device) -> None:
    """CM5-88, CM5-159 to CM5-168, CM5-202, CM5-209: the real dnsmasq, nginx and firewall, from the segment."""
    site = gateway.machine.site
    lease = words(site.in_segment(sys.executable, dhcp_client.__file__, "field", DEVICE_MAC).stdout)
    assert (lease["address"], lease["name"], lease["dns"], lease["router"]) == ("10.0.1.10", "valve", SEGMENT, "none")
    site.in_segment("ip", "address", "replace", f"{lease['address']}/24", "dev", "field")

    assert site.in_segment("dig", "+short", f"@{lease['dns']}", NAME).stdout == f"{SEGMENT}\n"
    assert site.in_segment("dig", "+short", f"@{lease['dns']}", NAME, "AAAA").stdout == ""
    page = site.in_segment(*CURL, "--resolve", f"{NAME}:80:{SEGMENT}", f"http://{NAME}/")
    assert page.stdout == "the pages of 2.1.0\n"

    # Neither the gateway's other ports nor the house are there for it, also where it makes a way by itself.
    site.in_segment("ip", "route", "replace", "default", "via", SEGMENT)
    for url in (f"http://{SEGMENT}:7070/", f"https://{site.address}/", f"http://{site.router}:53/"):
        assert site.in_segment("curl", "--silent", "--max-time", "1", url, check=False).returncode == 28, url


def test_the_house_gets_https_by_name_and_no_plain_page(gateway: Device, tmp_path: Path) -> None:
    """CM5-84, CM5-85, CM5-172, CM5-174, CM5-178, CM5-210, CM5-226: the exported authority is all a client needs."""
    site = gateway.machine.site
    plain = site.in_house(*CURL, f"http://{site.address}/", check=False)
    assert (plain.returncode, plain.stdout) == (NO_ANSWER, "")

    assert site.in_house(sys.executable, mdns_client.__file__, LOCAL, site.router).stdout == f"{site.address}\n"
    authority = tmp_path / "authority.pem"
    authority.write_text(gateway.outputs()["local_ca_certificate"])
    https = (*CURL, "--resolve", f"{LOCAL}:443:{site.address}", f"https://{LOCAL}/")
    assert site.in_house(*https, "--cacert", str(authority)).stdout == "the pages of 2.1.0\n"
    assert site.in_house(*https, check=False).returncode == 60, "without the authority nobody trusts it"

    for name in (NAME, LOCAL, PUBLIC):
        assert site.in_house("dig", "+short", f"@{site.address}", name).stdout == f"{site.address}\n"
    heard = site.in_segment(sys.executable, mdns_client.__file__, LOCAL, "10.0.1.10").stdout
    assert heard == "nobody has the name\n"


def test_the_gateway_is_as_it_was_described(gateway: Device) -> None:
    """CM5-148, CM5-153, CM5-157, CM5-214: what no client sees."""
    machine = gateway.machine
    assert machine.run("systemctl", "is-enabled", "dhcpcd.service", check=False).stdout == "masked\n"
    assert "10-eth0.network" in machine.run("networkctl", "status", "eth0").stdout
    key = machine.run("stat", "--format", "%a %U", "/opt/data/authority/ca.key").stdout
    assert key == "600 root\n"
    sources = machine.run("findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", "/opt/data").stdout
    assert sources == f"{machine.disk.path}p1[/data]\n"
    fstab = machine.path("/etc/fstab").read_text()
    assert [line.split()[1] for line in fstab.splitlines() if "nofail" in line] == [
        "/mnt/nvme",
        "/opt/data",
        "/var/log/cabin",
    ]
