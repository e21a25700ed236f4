"""P2 and P6 of the way to the hub: the certificate by a real handshake, and the port that the house must let out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.cm5_gateway import Gateway, render_edge
from components.cm5_gateway.checks import wan_checklist
from tests.support.gateway import gateway_args

WAN = wan_checklist(Gateway.of(gateway_args()))
HUB = "hub.example.test"
PROGRAM = Path(render_edge.__file__).parent / "templates" / "local-ca.sh"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Serves a certificate of an authority in `tmp_path`; gives the port for the name that it is for."""
    servers = []

    def serve(name: str) -> int:
        served = tmp_path / f"{name}.pem"
        domain = name.partition(".")[2]
        arguments: list[str | Path] = ["issue", tmp_path, served, "Authority", name, domain, "900", "90", "30"]
        subprocess.run(["sh", PROGRAM, *arguments], check=True)
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", served, "-key", served],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        servers.append(server)
        assert server.stdout is not None
        return int(next(line.rpartition(":")[2] for line in server.stdout if line.startswith("ACCEPT")))

    yield serve
    for server in servers:
        server.kill()
        server.communicate()


def judged(port: int, trusted: Path | None) -> bool:
    check = WAN["CM5-235-P2-certificate"]
    assert check.command is not None
    assert check.contains == f"DNS:{HUB}"
    asked = [f"127.0.0.1:{port}" if word == f"{HUB}:443" else word for word in check.command]
    trust = {"SSL_CERT_FILE": str(trusted)} if trusted else {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    done = subprocess.run(
        asked, capture_output=True, text=True, check=False, timeout=20, env={"PATH": os.environ["PATH"], **trust}
    )
    return done.returncode == 0 and check.contains in done.stdout


def test_p2_wants_the_name_in_a_chain_that_verifies(hub: Callable[[str], int], tmp_path: Path) -> None:
    """CM5-235, CM5-242: the alternative name, and no `-k`."""
    port = hub(HUB)
    assert judged(port, tmp_path / "ca.crt")
    assert not judged(port, None), "nobody trusts this authority"


def test_p2_refuses_the_certificate_of_another_name(hub: Callable[[str], int], tmp_path: Path) -> None:
    """CM5-242"""
    assert not judged(hub("shop.example.test"), tmp_path / "ca.crt")


def test_p6_asks_for_the_way_out_of_the_house() -> None:
    """CM5-239: what a router blocks shows as a port that does not answer."""
    check = WAN["CM5-239-P6-outbound"]
    assert (check.address, check.port) == (HUB, 443)
    assert "note it down" in check.likely_cause
