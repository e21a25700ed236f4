"""The authority in a real Vault, through the real engine: what it issues reaches a host, and is renewed in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store

from sandbox.endpoints import Endpoints
from tests.support.gateway import GATEWAY, merged
from tests.support.gateway_device import Device
from tests.support.plugin_program import Program
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

LOCAL_CA = {"name": "Cabin Local CA", "keeper": "vault", "certificate_days": 3, "renew_before_days": 1}
# The certificate's role alone, for the others need a machine of their own. A margin as long as a certificate is valid,
# which no description can have, stands for the days that go by.
PROGRAM = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
import pulumi, pulumi_vault
from components.cm5_gateway import CM5GatewayArgs, Gateway
from components.cm5_gateway.render import roles
from components.cm5_gateway.render_edge import VAULT_AUTHORITY, VAULT_SITE
from components.cm5_gateway.vault_ca import VaultAuthority
from components.host import FactoryProvider, HostState

given = json.loads(os.environ["VALUES"])
gateway = Gateway.of(CM5GatewayArgs.model_validate(given["args"]))
args = gateway.args.local_ca.model_copy(update=given["margin"])
opts = pulumi.ResourceOptions(providers=[FactoryProvider("factory"), pulumi_vault.Provider("vault", **given["vault"])])
kept = VaultAuthority("authority", args, product=gateway.product, host=gateway.mdns_name, opts=opts)
tls, made = roles(gateway)["tls"], {{VAULT_AUTHORITY: kept.certificate, VAULT_SITE: kept.site}}
contents = {{path: made[name] for path, file in tls.secret_files.items() for name in file.secrets}}
HostState("tls", gateway.connection, "tls", tls.desired, contents=contents, opts=opts)
"""


@dataclass
class Site:
    """A program on the sandbox's Vault, and the directory that stands for its host."""

    program: Program
    given: dict[str, Any]
    root: Path

    def values(self, *, due: bool = False) -> dict[str, Any]:
        """Describe it; ``due``: its certificate has to be renewed, however new it is."""
        return {**self.given, "margin": {"renew_before_days": LOCAL_CA["certificate_days"]} if due else {}}

    def authority(self) -> x509.Certificate:
        """The certificate that clients install."""
        return x509.load_pem_x509_certificate((self.root / "opt/data/authority/ca.crt").read_bytes())

    def served(self) -> x509.Certificate:
        """The certificate that the host serves, which a client with the authority trusts; its key lies beside it."""
        pem = (self.root / "opt/data/config/traefik/dynamic/site.pem").read_bytes()
        certificate, key = x509.load_pem_x509_certificate(pem), load_pem_private_key(pem, None)
        assert key.public_key() == certificate.public_key()
        client = PolicyBuilder().store(Store([self.authority()])).build_server_verifier(x509.DNSName("cabin.local"))
        client.verify(certificate, [])
        return certificate


@pytest.fixture
def vault_login(sandbox: Endpoints, tmp_path: Path) -> dict[str, str]:
    """The inputs of the provider for the sandbox's Vault."""
    trust = tmp_path / "vault.pem"
    trust.write_text(sandbox.vault.ca_cert_pem)
    return {"address": sandbox.vault.address, "token": sandbox.vault.root_token, "ca_cert_file": str(trust)}


@pytest.fixture
def site(sandbox: Endpoints, vault: httpx.Client, vault_login: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    if sandbox.ssh is None:
        pytest.skip("the sandbox has no host here: needs an OpenSSH server on this machine")
    program = Program.write(tmp_path / "project", PROGRAM, plugins=["factory-host"])
    connection = {**sandbox.ssh.model_dump(), "ssh_config": None, "sudo": "none"}
    args = merged(GATEWAY, {"connection": connection, "lan": {"address": "10.20.0.14"}, "local_ca": LOCAL_CA})
    yield Site(program, {"args": args, "vault": vault_login}, Path(sandbox.ssh.root))
    vault.delete("sys/mounts/pki-cabin").raise_for_status()


def test_what_vault_issues_reaches_the_host_and_is_renewed_in_time(site: Site) -> None:
    """CM5-178, CM5-183, CM5-214, CM5-268: the authority stays, with its key in Vault; no key is in the state."""
    due = site.values(due=True)
    site.program.up(**due)
    authority, first = site.authority(), site.served()
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    assert limits.permitted_subtrees == [x509.DNSName("local")]

    # The plan knows that it is time: another certificate, and the file that holds it.
    planned = site.program.steps(**due)
    assert {name: what[0] for name, what in planned.items()} == {"authority.certificate": "replace", "tls": "update"}
    site.program.up(**site.values())
    assert site.served().serial_number != first.serial_number
    assert site.authority() == authority

    site.program.unchanged(**site.values())
    states = [file.read_text() for file in (site.program.folder / "state").rglob("*") if file.is_file()]
    assert any("authority.certificate" in state for state in states)
    assert not any("PRIVATE KEY" in state for state in states)


@pytest.mark.long
def test_a_whole_gateway_has_its_authority_in_vault(bare: Device, vault_login: dict[str, str], tmp_path: Path) -> None:
    """CM5-178, CM5-183, CM5-228, CM5-268: every role, and a client of the house that has the exported certificate."""
    bare.vault, keeper = vault_login, {"local_ca": {"keeper": "vault"}}
    bare.up(**keeper)
    assert bare.failed_checks(**keeper) == {}
    authority = tmp_path / "authority.pem"
    authority.write_text(bare.outputs()["local_ca_certificate"])
    here = bare.machine.site.address
    asked = ["--cacert", str(authority), "--resolve", f"cabin.local:443:{here}", "https://cabin.local/"]
    assert bare.machine.site.in_house("curl", "--silent", *asked).stdout == "the pages of 2.1.0\n"
    assert not bare.machine.path("/opt/data/authority/ca.key").exists()
    bare.program.unchanged(**bare.values(**keeper))
    bare.program.run("destroy", "--yes", "--run-program", values=bare.values(**keeper))
