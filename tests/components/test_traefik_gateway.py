"""The gateway as a graph: what it makes, what is secret, what it waits for, and what it refuses."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.host.component import FactoryProvider
from components.host.ssh_config import config_files
from components.traefik_gateway.args_gateway import TraefikGatewayArgs
from components.traefik_gateway.args_notes import ProxmoxNotesArgs
from components.traefik_gateway.component import TraefikGateway
from tests.support.mocks import Graph, build

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsP7ln2d0yMP6LrsCmLVKqg9I6ZDZzsS9tEqJ9LDrFF"
HOST = "factory-host:index:HostState"
NOTES = "pulumi-python:dynamic/factory:ProxmoxNotes"
READER, WRITER = "reader-secret", "writer-secret"
STATIC = "desired.files./opt/traefik-gateway/traefik"


def gateway(**changed: Any) -> TraefikGatewayArgs:
    base = {
        "host": {"address": "203.0.113.10", "host_key": HOST_KEY},
        "acme": {"email": "admin@example.test"},
        "plugin": {"endpoint": "https://pve.example.test:8006", "token_id": "traefik@pve!reader"},
    }
    return TraefikGatewayArgs.model_validate(base | changed)


def notes(**changed: Any) -> ProxmoxNotesArgs:
    guest = {"vmid": 106, "host": {"address": "10.20.0.6", "host_key": HOST_KEY}}
    base = {"endpoint": "https://pve.example.test:8006", "token_id": "factory@pve!notes", "guests": {"web": guest}}
    return ProxmoxNotesArgs.model_validate(base | changed)


def graph(args: TraefikGatewayArgs, described: ProxmoxNotesArgs | None, **secrets: Any) -> Graph:
    def program() -> dict[str, Any]:
        providers = [FactoryProvider("factory"), pulumi.ProviderResource("pulumi-python", "python", {})]
        made = TraefikGateway("edge", args, described, opts=pulumi.ResourceOptions(providers=providers), **secrets)
        return made.outputs()

    return build(program)


def test_one_machine_and_one_set_of_notes() -> None:
    built = graph(gateway(), notes(), reader_secret=READER, writer_secret=WRITER)
    assert [node.type for node in built if node.custom and "provider" not in node.type] == [HOST, NOTES]
    machine, written = built.one(HOST), built.one(NOTES)
    assert (machine.name, written.name) == ("edge", "edge-notes")
    assert machine.parent == written.parent == built.one("factory:traefik:TraefikGateway").urn
    assert all(node.provider for node in (machine, written)), "every provider is explicit"


def test_each_token_is_a_secret_in_its_one_place() -> None:
    """TPX-200, TPX-209."""
    built = graph(gateway(), notes(), reader_secret=READER, writer_secret=WRITER)
    machine, written = built.one(HOST), built.one(NOTES)
    static = machine.inputs["desired"]["files"]["/opt/traefik-gateway/traefik.yml"]["content"]
    assert f"apiToken: {READER}" in static["secret"]
    assert written.get("token_secret") == WRITER
    assert written.is_secret("token_secret")
    shown = str([built.exports, *(node.inputs for node in built)]).replace(str(static), "")
    assert READER not in shown
    assert shown.count(WRITER) == 1


def test_what_it_tells() -> None:
    """TPX-256."""
    told = graph(gateway(), notes(), reader_secret=READER, writer_secret=WRITER).exports
    assert "apiToken: <secret>" in told["static_configuration"]
    assert "traefik:v3." in told["compose"]
    assert {
        "direction": "out",
        "protocol": "tcp",
        "peer": "10.20.0.6",
        "port": 8080,
        "why": "a guest's own Traefik",
    } in told["firewall"]
    assert [check["id"] for check in told["checks"]][:2] == ["TPX-181", "TPX-186"]


def test_only_what_was_written_is_in_the_notes_inputs() -> None:
    """A plan shows what somebody wrote, and what `check` adds; defaults stay out of it."""
    inputs = graph(gateway(), notes(), reader_secret=READER, writer_secret=WRITER).one(NOTES).inputs
    assert set(inputs) == {"endpoint", "token_id", "guests", "block", "token_secret"}
    assert inputs["guests"]["web"] == {"vmid": 106, "host": {"address": "10.20.0.6", "host_key": HOST_KEY}}


def test_no_ssh_configuration_file_is_none() -> None:
    """The engine drops what is null, and would so bring the default back."""
    host = {"address": "10.20.0.6", "host_key": HOST_KEY, "ssh_config": None}
    built = graph(
        gateway(), notes(guests={"web": {"vmid": 106, "host": host}}), reader_secret=READER, writer_secret=WRITER
    )
    assert built.one(NOTES).get("guests.web.host.ssh_config") == ""
    assert config_files("") == []


def test_a_gateway_of_files_alone() -> None:
    """TPX-246: no plugin, no notes, no token."""
    built = graph(gateway(plugin=None), None)
    assert [node.type for node in built if node.custom and "provider" not in node.type] == [HOST]
    assert "routes" in built.exports


def test_a_service_has_no_compose_project() -> None:
    release = {"url": "https://dl.example.test/traefik.tar.gz", "sha256": "a" * 64}
    built = graph(gateway(runtime="systemd", release=release), None, reader_secret=READER)
    assert "compose" not in built.exports


@pytest.mark.parametrize(
    ("token", "secrets", "said"),
    [
        ("factory@pve!notes", {"writer_secret": WRITER}, "give reader_secret"),
        ("factory@pve!notes", {"reader_secret": READER}, "give writer_secret"),
        ("traefik@pve!reader", {"reader_secret": READER, "writer_secret": WRITER}, r"token of its own \(TPX-200\)"),
    ],
)
def test_missing_secrets_and_one_token_for_both(token: str, secrets: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        graph(gateway(), notes(token_id=token), **secrets)
