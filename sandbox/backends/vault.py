"""A real Vault server: file storage, TLS with its own authority, initialised once, unsealed at every start."""

from __future__ import annotations

import json
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.certificates import Authority
from sandbox.endpoints import Endpoints, VaultEndpoint
from sandbox.errors import SandboxError
from sandbox.files import make_directory, write_private
from sandbox.layout import Layout
from sandbox.ports import LOOPBACK
from sandbox.service import Service

_TIMEOUT_SECONDS = 10
AUDIT_DEVICE = "file"


class ClusterKeys(BaseModel):
    """What initialisation gives, kept with mode 0600; one share is enough, as in the described lab (VAULT-12)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unseal_keys: list[str] = Field(repr=False, min_length=1)
    root_token: str = Field(repr=False, min_length=1)


def audit_log(layout: Layout) -> Path:
    """Return the file of the audit device; Vault itself writes it, with secrets hashed."""
    return layout.log("vault-audit")


def authority(layout: Layout) -> Authority:
    """Return the authority of Vault's certificate."""
    return Authority(layout.vault / "pki", "factory sandbox Vault")


def prepare(layout: Layout, program: Path, port: int) -> Service:
    """Write the configuration and the certificate, return the process."""
    storage = layout.vault / "storage"
    if not layout.cluster_keys.exists() and any(storage.glob("*")):
        _forget_half_initialised(layout, storage)
    make_directory(storage)
    server = authority(layout).issue("server", "vault", hosts=[LOOPBACK, "localhost"])
    address = f"https://{LOOPBACK}:{port}"
    configuration = {
        "storage": {"file": {"path": str(storage)}},
        "listener": {
            "tcp": {
                "address": f"{LOOPBACK}:{port}",
                "tls_cert_file": str(server.certificate),
                "tls_key_file": str(server.key),
            }
        },
        "api_addr": address,
        # Locking memory needs a privilege, and this server holds no secret of production.
        "disable_mlock": True,
        "ui": False,
        "log_level": "warn",
    }
    path = layout.vault / "vault.json"
    write_private(path, json.dumps(configuration, indent=2).encode() + b"\n")
    return Service(
        name="vault",
        argv=(str(program), "server", f"-config={path}"),
        address=address,
        environment={"HOME": str(layout.vault), "GOMEMLIMIT": "400MiB"},
    )


def client(layout: Layout, address: str) -> httpx.AsyncClient:
    """Return a client that trusts Vault's own authority only."""
    context = ssl.create_default_context(cafile=str(authority(layout).files.certificate))
    return httpx.AsyncClient(base_url=f"{address}/v1/sys/", verify=context, timeout=_TIMEOUT_SECONDS, trust_env=False)


async def answers(vault: httpx.AsyncClient) -> bool:
    """Tell whether the server answers, sealed or not."""
    try:
        return (await vault.get("seal-status")).is_success
    except httpx.TransportError:
        return False


async def open_up(layout: Layout, vault: httpx.AsyncClient) -> VaultEndpoint:
    """Initialise the first time, unseal, enable the audit device; return the address and the root token."""
    seal = await _call(vault, "GET", "seal-status")
    if not seal["initialized"]:
        made = await _call(vault, "PUT", "init", {"secret_shares": 1, "secret_threshold": 1})
        new = ClusterKeys(unseal_keys=made["keys_base64"], root_token=made["root_token"])
        write_private(layout.cluster_keys, new.model_dump_json(indent=2).encode() + b"\n")
        seal = await _call(vault, "GET", "seal-status")
    keys = _load_keys(layout.cluster_keys)
    if seal["sealed"]:
        for key in keys.unseal_keys:
            seal = await _call(vault, "PUT", "unseal", {"key": key})
    if seal["sealed"]:
        raise SandboxError(f"Vault stays sealed with the keys of {layout.cluster_keys}: ./factory sandbox reset")
    vault.headers["X-Vault-Token"] = keys.root_token
    return VaultEndpoint(
        address=str(vault.base_url).removesuffix("/v1/sys/"),
        ca_cert_pem=authority(layout).pem,
        root_token=keys.root_token,
    )


async def active(vault: httpx.AsyncClient) -> bool:
    """Tell whether the server is unsealed and serves requests."""
    return (await vault.get("health")).status_code == httpx.codes.OK


async def ensure_audit(layout: Layout, vault: httpx.AsyncClient) -> None:
    """Enable the audit device that writes a file, unless it is there."""
    devices = await _call(vault, "GET", "audit")
    if f"{AUDIT_DEVICE}/" not in devices["data"]:
        options = {"file_path": str(audit_log(layout)), "mode": "0600"}
        await _call(vault, "PUT", f"audit/{AUDIT_DEVICE}", {"type": "file", "options": options})


async def _call(vault: httpx.AsyncClient, method: str, path: str, body: object = None) -> dict[str, Any]:
    try:
        answer = await vault.request(method, path, json=body)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}
    except (httpx.HTTPError, ValueError) as error:
        # The request may have carried an unseal key: the message names the call only.
        status = f"status {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else str(error)
        raise SandboxError(f"Vault did not accept {method} sys/{path}: {status}") from error


def _load_keys(path: Path) -> ClusterKeys:
    try:
        return ClusterKeys.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SandboxError(
            f"{path} is missing or damaged, and without it Vault's data cannot be opened: ./factory sandbox reset"
        ) from error


def _forget_half_initialised(layout: Layout, storage: Path) -> None:
    """Drop the data of an initialisation that was cut off before its keys were written: nobody can ever open it."""
    if Endpoints.path(layout.root).exists():
        raise SandboxError(
            f"{layout.cluster_keys} is gone and Vault's data cannot be opened without it: restore the file, "
            "or ./factory sandbox reset"
        )
    shutil.rmtree(storage)
