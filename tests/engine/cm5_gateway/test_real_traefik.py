"""Real Traefik on the gateway, with the files that it was given: where it listens, and what it shows to whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import toolchain
from tests.support.gateway_device import Device, gateway_device

pytestmark = [pytest.mark.engine, pytest.mark.long]

LOCAL, SEGMENT_NAME = "cabin.local", "hub.example.test"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """The machine, with the program."""
    tool = toolchain.locate("traefik")
    if tool is None:
        pytest.skip("no traefik: `./factory test --long` gets it")
    with gateway_device(tmp_path_factory.mktemp("gateway"), traefik=tool.path) as device:
        yield device


def test_traefik_serves_the_local_name_with_its_certificate_on_the_lan_alone(gateway: Device, tmp_path: Path) -> None:
    """CM5-84, CM5-178, CM5-202, CM5-205."""
    machine, site = gateway.machine, gateway.machine.site
    listening = machine.run("sh", "-c", "ss -Hlntp | grep traefik | awk '{print $4}'").stdout
    assert listening == f"{site.address}:443\n"
    assert gateway.failed_checks() == {}
    authority = tmp_path / "authority.pem"
    authority.write_text(gateway.outputs()["local_ca_certificate"])

    def page(name: str, *trust: str) -> str:
        asked = ["--resolve", f"{name}:443:{site.address}", f"https://{name}/"]
        return site.in_house("curl", "--silent", "--max-time", "8", *trust, *asked).stdout

    assert page(LOCAL, "--cacert", str(authority)) == "the pages of 2.1.0\n"
    # The public name has no certificate here, for no authority can be reached; its way to the pages is there.
    assert page(SEGMENT_NAME, "--insecure") == "the pages of 2.1.0\n"
    assert page("somebody-else.example.test", "--insecure") == "404 page not found\n"


def test_traefik_takes_a_renewed_certificate_without_a_restart(gateway: Device) -> None:
    """CM5-178, CM5-183: the timer's service makes it, and Traefik sees its file."""
    machine = gateway.machine

    def served() -> str:
        command = "openssl s_client -connect $0:443 -servername $1 </dev/null 2>/dev/null | openssl x509 -noout -serial"
        return machine.run("sh", "-c", command, machine.address, LOCAL).stdout

    before, started = served(), machine.run("pgrep", "-x", "traefik").stdout
    machine.run("rm", "/opt/data/config/traefik/dynamic/site.pem")
    machine.run("systemctl", "start", "cabin-local-ca.service")
    for _ in range(100):
        if served() not in {before, ""}:
            break
        machine.run("sleep", "0.2")
    assert served() not in {before, ""}
    assert machine.run("pgrep", "-x", "traefik").stdout == started
