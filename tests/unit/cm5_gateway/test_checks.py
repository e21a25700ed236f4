"""The checks of section 9: what is asked, and that a gateway that is wrong does not pass."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.cm5_gateway import Gateway
from components.cm5_gateway.checks import as_data, checklist, wan_checklist
from components.cm5_gateway.machine import machine_of
from components.host.checks import HostCheck, judge
from tests.support.gateway import classic, gateway_args

GATEWAY = Gateway.of(gateway_args())
CHECKS = checklist(GATEWAY)
WAN = wan_checklist(GATEWAY)


@pytest.mark.parametrize(
    "id_",
    [
        "CM5-168",
        "CM5-178",
        "CM5-202",
        "CM5-209",
        "CM5-216",
        *(f"CM5-{number}" for number in (218, 219, 220, 221, 222)),
        *(f"CM5-{number}" for number in (224, 225, 226, 227, 228, 229, 230, 231, 232)),
        "section-4",
    ],
)
def test_each_check_of_section_9_is_there(id_: str) -> None:
    assert [name for name in CHECKS if name.startswith(f"{id_}-")]


def test_the_way_to_the_hub_is_checked_from_p0_to_p6() -> None:
    assert [name.split("-")[2] for name in WAN] == [f"P{number}" for number in range(7)]
    assert wan_checklist(Gateway.of(gateway_args(cloud={"enabled": False}))) == {}
    assert wan_checklist(Gateway.of(classic())) == {}


def test_every_check_says_where_to_look() -> None:
    assert [name for name, check in {**CHECKS, **WAN}.items() if not check.likely_cause] == []


def test_checks_are_plain_values() -> None:
    data = as_data(CHECKS)
    assert [each["name"] for each in data] == list(CHECKS)
    assert all("likely_cause" in each for each in data)


def test_the_stacks_own_checks_come_too() -> None:
    """CM5-223 is the product's."""
    own = {"CM5-223-backend": {"http": "http://127.0.0.1:7070/health", "likely_cause": "docker logs"}}
    assert "CM5-223-backend" in checklist(Gateway.of(gateway_args(checks=own)))


def test_the_classic_machine_is_not_asked_for_what_it_has_not() -> None:
    names = set(checklist(Gateway.of(classic())))
    assert names == {
        "CM5-219-lan-address",
        "CM5-218-containers",
        "section-4-nginx-127.0.0.1-80",
        "section-4-traefik-127.0.0.1-443",
        "section-4-backend-127.0.0.1-7070",
    }


def test_the_gateway_is_a_machine_with_all_its_checks() -> None:
    """CM5-266: whatever asks machines can ask it, and judges what comes back."""
    machine = machine_of(gateway_args())
    assert machine.connection == gateway_args().connection
    assert list(machine.checks) == [*CHECKS, *WAN]
    assert {"nvme", "network", "compose"} <= set(machine.roles)
    seen: dict[str, dict[str, Any]] = {
        "CM5-224-segment-http": {"status": 200, "body": "the pages"},
        "CM5-226-lan-http-closed": {"status": 52, "stdout": "", "stderr": ""},
    }
    results = {each.name: each for each in judge(machine.checks, seen)}
    assert [name for name, result in results.items() if result.ok] == list(seen)
    failed = results["CM5-222-dnsmasq.service"]
    assert (failed.expected, failed.actual) == ("active", "nothing was observed")
    assert "journalctl -u dnsmasq" in failed.likely_cause


class Machine:
    """Programs that answer what a test says, first on PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def answers(self, program: str, output: str, status: int = 0) -> None:
        file = self.directory / program
        file.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {status}\n")
        file.chmod(0o755)

    def passes(self, check: HostCheck) -> bool:
        assert check.command is not None
        path = f"{self.directory}:{os.environ['PATH']}"
        done = subprocess.run(check.command, capture_output=True, text=True, check=False, env={"PATH": path})
        return done.returncode == (check.status or 0) and (check.contains or "") in done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("name", "program", "right", "wrong"),
    [
        (
            "CM5-219-segment-address",
            "ip",
            ["2: eth1    inet 10.0.1.1/24 brd x"],
            ["2: eth1    inet 10.0.1.1/16 brd x", ""],
        ),
        ("CM5-219-lan-address", "ip", ["2: eth0    inet 10.20.0.14/24 brd x"], ["2: eth0    inet 10.20.0.140/24 x"]),
        ("CM5-229-segment-name", "dig", ["10.0.1.1"], ["", "10.0.1.10", "203.0.113.9"]),
        ("CM5-168-no-other-record", "dig", [""], ["2001:db8::1"]),
        ("CM5-230-cabin.local", "dig", ["10.20.0.14"], ["", "10.0.1.1"]),
        ("CM5-230-public-name", "dig", ["10.20.0.14"], ["", "203.0.113.9"]),
        ("CM5-225-lan-https", "curl", ["200"], ["000", "404", "502"]),
        (
            "CM5-218-containers",
            "docker",
            ["traefik\nnginx\nmosquitto\nadguard\nnode-exporter\nbackend"],
            ["nginx\ntraefik", ""],
        ),
        (
            "CM5-202-https-on-lan-only",
            "ss",
            ["LISTEN 0 9 x 10.20.0.14:443 0.0.0.0:*".replace("x ", "")],
            ["LISTEN 0 9 0.0.0.0:443 0.0.0.0:*", "LISTEN 0 9 10.20.0.14:443 *:*\nLISTEN 0 9 10.0.1.1:443 *:*", ""],
        ),
        (
            "CM5-231-name-servers-apart",
            "ss",
            ["udp UNCONN 0 0 10.0.1.1:53 0.0.0.0:*\nudp UNCONN 0 0 10.20.0.14:53 0.0.0.0:*"],
            ["udp UNCONN 0 0 0.0.0.0:53 0.0.0.0:*", "tcp LISTEN 0 9 *:53 *:*", "tcp LISTEN 0 9 [::]:53 [::]:*"],
        ),
        ("CM5-209-isolated", "nft", ['iifname "eth1" drop'], ["", 'iifname "eth1" accept']),
        ("CM5-227-mdns", "avahi-resolve-host-name", ["cabin.local 10.20.0.14"], ["cabin.local 10.0.1.1"]),
        ("CM5-233-P0-dns", "dig", ["198.51.0.1", "alias.example.test.\n198.51.0.1"], ["10.20.0.14", "192.168.0.4", ""]),
        ("CM5-234-P1-tls", "curl", ["200", "301"], ["302", "500", "000", "20"]),
        ("CM5-236-P3-no-plain-http", "curl", ["301", "308", "000"], ["200", "404"]),
        ("CM5-237-P4-heartbeat", "curl", ["401"], ["200", "404", "405", "000"]),
    ],
)
def test_a_check_passes_what_is_right_and_nothing_else(
    name: str, program: str, right: list[str], wrong: list[str], machine: Machine
) -> None:
    check = {**CHECKS, **WAN}[name]
    for output in right:
        machine.answers(program, output)
        assert machine.passes(check), output
    for output in wrong:
        machine.answers(program, output)
        assert not machine.passes(check), output


def test_a_known_address_of_the_hub_is_the_only_right_one(machine: Machine) -> None:
    """CM5-233, CM5-253"""
    check = wan_checklist(Gateway.of(gateway_args(cloud={"hub_address": "203.0.113.7"})))["CM5-233-P0-dns"]
    machine.answers("dig", "203.0.113.7")
    assert machine.passes(check)
    machine.answers("dig", "198.51.0.1")
    assert not machine.passes(check)


def test_a_closed_connection_is_what_the_lan_must_get(machine: Machine) -> None:
    """CM5-226, CM5-247: an answer, and no server at all, are both wrong."""
    check = CHECKS["CM5-226-lan-http-closed"]
    for status, passes in ((52, True), (0, False), (7, False), (28, False)):
        machine.answers("curl", "", status)
        assert machine.passes(check) is passes


def test_who_renews_is_told() -> None:
    """CM5-178: the device's own timer, or whoever runs `up`."""
    in_vault = checklist(Gateway.of(gateway_args(local_ca={"keeper": "vault"})))["CM5-178-renewed-in-time"]
    assert "run `./factory up`" in in_vault.likely_cause
    on_device = CHECKS["CM5-178-renewed-in-time"]
    assert "systemctl status cabin-local-ca" in on_device.likely_cause
    assert on_device.command is not None
    assert on_device.command[-1] == str(15 * 86400)


@pytest.mark.parametrize(("device", "passes"), [("eth0", True), ("eth1", False)])
def test_the_way_out_is_the_lan(device: str, passes: bool, machine: Machine) -> None:
    """CM5-238, CM5-154"""
    machine.answers("dig", "203.0.113.7")
    machine.answers("ip", f"203.0.113.7 via 10.20.0.1 dev {device} src 10.20.0.14 uid 0")
    assert machine.passes(WAN["CM5-238-P5-egress"]) is passes


def test_the_local_certificate_is_judged_by_a_real_handshake(tmp_path: Path) -> None:
    """CM5-228: the authority's certificate passes, for its own name only, and another's does not."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    from components.cm5_gateway import render_edge  # noqa: PLC0415 - for the place of the program alone

    program = Path(render_edge.__file__).parent / "templates" / "local-ca.sh"
    for name, common in (("right", "Cabin Local CA"), ("wrong", "Other CA")):
        (tmp_path / name).mkdir()
        served = tmp_path / name / "site.pem"
        issue: list[str | Path] = [
            "sh",
            program,
            "issue",
            tmp_path / name,
            served,
            common,
            "cabin.local",
            "local",
            "900",
            "90",
            "30",
        ]
        subprocess.run(issue, check=True)
    command = CHECKS["CM5-228-local-certificate"].command
    assert command is not None

    def judged(certificate: str, host: str) -> subprocess.CompletedProcess[str]:
        served = tmp_path / certificate / "site.pem"
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", served, "-key", served],
            stdout=subprocess.PIPE,
            text=True,
            stdin=subprocess.PIPE,
        )
        try:
            assert server.stdout is not None
            port = next(line.rpartition(":")[2].strip() for line in server.stdout if line.startswith("ACCEPT"))
            trust = f"-CAfile {tmp_path}/right/ca.crt"
            asked = [*command[:4], f"127.0.0.1:{port}", host, trust]
            return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
        finally:
            server.kill()
            server.communicate()

    good = judged("right", "cabin.local")
    assert good.returncode == 0
    assert "Cabin Local CA" in good.stdout
    assert judged("right", "barn.local").returncode != 0
    assert judged("wrong", "cabin.local").returncode != 0
