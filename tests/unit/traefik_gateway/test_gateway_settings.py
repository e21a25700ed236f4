"""The sections `traefik_gateway` and `proxmox` of a stack file: what they need, what they refuse, what they build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks import build as build_stack
from stacks.settings.guards import Fingerprints
from stacks.settings.load import load
from stacks.settings.problems import SettingsError
from stacks.settings.program import from_pulumi
from stacks.settings.sections import targets
from stacks.settings.yaml_file import Encrypted
from tests.support.mocks import Graph, build
from tests.support.stacks import configure

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsP7ln2d0yMP6LrsCmLVKqg9I6ZDZzsS9tEqJ9LDrFF"
TOKENS = ("proxmox_token", "proxmox_reader_token")
NOTES: dict[str, Any] = {
    "endpoint": "https://pve.example.test:8006",
    "token_id": "factory@pve!notes",
    "guests": {"web": {"vmid": 106, "host": {"address": "10.20.0.6", "host_key": HOST_KEY}}},
}
GATEWAY: dict[str, Any] = {
    "host": {"address": "203.0.113.10", "host_key": HOST_KEY},
    "acme": {"email": "admin@example.test"},
    "plugin": {"endpoint": "https://pve.example.test:8006", "token_id": "traefik@pve!reader"},
}
BOTH: dict[str, Any] = {"proxmox": NOTES, "traefik_gateway": GATEWAY}


def site(**sections: Any) -> dict[str, Any]:
    return {"environment": "prod", "fingerprints": {"hosts": ["gateway.example.test"]}, **sections}


def problems(tokens: tuple[str, ...] = TOKENS, **sections: Any) -> str:
    raw = site(**sections, credentials={token: Encrypted() for token in tokens})
    with pytest.raises(SettingsError) as caught:
        load(raw, "Pulumi.x.yaml")
    return str(caught.value)


def graph(tmp_path: Path, tokens: tuple[str, ...] = TOKENS, **sections: Any) -> Graph:
    def program() -> dict[str, Any]:
        configure(site(**sections), {"credentials": {token: f"value-of-{token}" for token in tokens}})
        return build_stack(from_pulumi({}, tmp_path))

    return build(program, stack_name="x")


def test_each_section_needs_its_token() -> None:
    """TPX-200, TPX-209."""
    said = problems((), **BOTH)
    assert "factory:credentials.proxmox_token: missing secret: `proxmox` needs the secret of `proxmox.token_id`" in said
    assert "factory:credentials.proxmox_reader_token: missing secret: `traefik_gateway` needs" in said


def test_one_token_for_reading_and_writing_is_refused() -> None:
    plugin = GATEWAY["plugin"] | {"token_id": "factory@pve!notes"}
    said = problems(**BOTH | {"traefik_gateway": GATEWAY | {"plugin": plugin}})
    assert "factory:traefik_gateway.plugin.token_id" in said
    assert "is the token that writes notes (TPX-200)" in said


def test_a_prediction_for_another_plugin_is_refused() -> None:
    said = problems(**BOTH | {"proxmox": NOTES | {"plugin_version": "v0.7.5"}})
    assert "is not what the gateway runs, so predictions would be wrong" in said


def test_what_opens_the_machines_is_a_secret_of_its_section(tmp_path: Path) -> None:
    """One login for the gateway's machine, one for all guests."""
    password = GATEWAY | {"host": GATEWAY["host"] | {"user": "admin", "sudo": "password"}}
    sections: dict[str, Any] = {"proxmox": NOTES, "traefik_gateway": password}
    assert "factory:host_secrets.traefik_gateway.sudo_password: missing secret" in problems(**sections)
    wrong = {"traefik_gateway": {"password": Encrypted()}, "proxmox": {"key": Encrypted()}, "edge": {"x": Encrypted()}}
    said = problems(**sections, host_secrets=wrong)
    assert "factory:host_secrets.traefik_gateway.password: opens no machine of `factory:traefik_gateway`" in said
    assert "factory:host_secrets.proxmox.key: opens no machine of `factory:proxmox`" in said
    assert "factory:host_secrets.edge: no such host" in said
    logins = {"traefik_gateway": {"sudo_password": "word"}, "proxmox": {"private_key": "key of the guests"}}

    def program() -> dict[str, Any]:
        secrets = {"credentials": {token: f"value-of-{token}" for token in TOKENS}, "host_secrets": logins}
        configure(site(**sections), secrets)
        return build_stack(from_pulumi({}, tmp_path))

    built = build(program, stack_name="x")
    machine, notes = built.one("factory-host:index:HostState"), built.one("pulumi-python:dynamic/factory:ProxmoxNotes")
    assert (machine.get("credentials.sudo_password"), notes.get("private_key")) == ("word", "key of the guests")
    assert machine.is_secret("credentials.sudo_password")
    assert notes.is_secret("private_key")


def test_the_gateway_with_its_notes(tmp_path: Path) -> None:
    built = graph(tmp_path, **BOTH)
    assert built.one("factory:traefik:TraefikGateway").name == "gateway"
    notes = built.one("pulumi-python:dynamic/factory:ProxmoxNotes")
    assert notes.get("token_secret") == "value-of-proxmox_token"
    assert built.one("factory-host:index:HostState").name == "gateway"
    assert set(built.exports["gateway"]) == {"static_configuration", "compose", "routes", "firewall", "checks"}


def test_the_notes_can_be_brought_up_alone(tmp_path: Path) -> None:
    """`up --only proxmox`, with a gateway around them or without."""
    found = [graph(tmp_path, **BOTH), graph(tmp_path, TOKENS[:1], proxmox=NOTES)]
    for built in found:
        notes = built.one("pulumi-python:dynamic/factory:ProxmoxNotes").urn
        (pattern, _) = targets("proxmox", "x")
        kind = pattern.removesuffix("::*").partition("**")
        assert notes.startswith(kind[0])
        assert notes.rpartition("::")[0].endswith(kind[2])


def test_the_notes_alone_and_the_gateway_alone(tmp_path: Path) -> None:
    alone = graph(tmp_path, TOKENS[:1], proxmox=NOTES)
    assert [node.type for node in alone if node.custom and "provider" not in node.type] == [
        "pulumi-python:dynamic/factory:ProxmoxNotes"
    ]
    files_alone = graph(tmp_path, (), traefik_gateway={**GATEWAY, "plugin": None})
    assert [node.type for node in files_alone if node.custom and "provider" not in node.type] == [
        "factory-host:index:HostState"
    ]


def test_a_sandbox_never_reaches_productions_cluster_or_gateway() -> None:
    """POL-01: also with `i_mean_prod`, beside a site of its own."""
    production = Fingerprints(ips=("10.20.0.6", "203.0.113.10"))
    raw = site(**BOTH, credentials={token: Encrypted() for token in TOKENS}) | {
        "environment": "sandbox",
        "i_mean_prod": True,
        "sandbox": {"mode": "vms", "state_url": "gs://site-sandbox", "target_revision": "sandbox"},
    }
    del raw["fingerprints"]
    with pytest.raises(SettingsError) as caught:
        load(raw, "Pulumi.x.yaml", production=production)
    for place in ("proxmox.guests.web.host.address", "traefik_gateway.host.address"):
        assert f"factory:{place}" in str(caught.value)
    load(raw, "Pulumi.x.yaml", production=Fingerprints(ips=("10.99.0.1",)))
