"""A login method that a killed run mounted and did not configure: missing for its provider, there for Vault."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cli import healing
from cli.vault_client import VaultClient
from sandbox.endpoints import Endpoints
from stacks.settings.access import VaultAccess
from stacks.settings.connections import VaultConnection

pytestmark = pytest.mark.engine


@pytest.fixture
def client(sandbox: Endpoints, tmp_path: Path) -> VaultClient:
    authority = tmp_path / "ca.pem"
    authority.write_text(sandbox.vault.ca_cert_pem)
    connection = VaultConnection(address=sandbox.vault.address, ca_cert_file=str(authority))
    return VaultClient(VaultAccess(connection, sandbox.vault.root_token))


@pytest.fixture
def login(vault: httpx.Client) -> Iterator[str]:
    """A login method with nothing in it."""
    path = f"jwt-{uuid.uuid4().hex[:8]}"
    vault.post(f"sys/auth/{path}", json={"type": "jwt"}).raise_for_status()
    yield path
    vault.delete(f"sys/auth/{path}")


def healed(client: VaultClient, login: str) -> tuple[list[str], list[str]]:
    """Return which records come of an interrupted create, and what is told."""
    resource = {"type": "vault:jwt/authBackend:AuthBackend", "urn": "urn:jwt", "inputs": {"path": login}}
    told: list[str] = []
    found = healing.resolve([{"type": "creating", "resource": resource}], lambda: client, told.append)
    return [record["id"] for record in found], told


def mounted(vault: httpx.Client, login: str) -> bool:
    return f"{login}/" in vault.get("sys/auth").raise_for_status().json()["data"]


def test_what_is_half_made_is_removed_and_made_anew(client: VaultClient, vault: httpx.Client, login: str) -> None:
    records, told = healed(client, login)
    assert records == []
    assert told == [f"removing the login {login}: the killed run had mounted it, and not configured it yet"]
    assert not mounted(vault, login)
    # Not there at all: the refresh finds that out.
    assert healed(client, login)[0] == [login]


def test_what_is_configured_or_used_stays(client: VaultClient, vault: httpx.Client, login: str) -> None:
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["factory"]}
    vault.post(f"auth/{login}/role/ci", json=role).raise_for_status()
    assert healed(client, login)[0] == [login]
    vault.delete(f"auth/{login}/role/ci").raise_for_status()
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    vault.post(f"auth/{login}/config", json={"jwt_validation_pubkeys": [pem]}).raise_for_status()
    assert healed(client, login)[0] == [login]
    assert mounted(vault, login)
