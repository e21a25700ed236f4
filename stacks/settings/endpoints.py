"""The embedded backends as a stack sees them: the file their supervisor writes, and the settings that follow from it.

FACTORY_ENDPOINTS holds the file's path. Ports are chosen when the sandbox is first started, so a committed stack file
cannot name them; everything that depends on them is filled in here, and what a stack file says itself wins.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .problems import Problem, SettingsError

__all__ = ["ENDPOINTS_VARIABLE", "PLACEHOLDER", "Endpoints", "certificate_file", "fill", "read_endpoints"]

ENDPOINTS_VARIABLE = "FACTORY_ENDPOINTS"
"""Environment variable with the path of the endpoints file; the command line sets it."""

_START = "Run `./factory sandbox start`; plain `pulumi` also needs the exports of `./factory env`"


class _Endpoint(BaseModel):
    # The file may have fields which this program does not need.
    model_config = ConfigDict(extra="ignore", frozen=True)


class PostgresEndpoint(_Endpoint):
    """The PostgreSQL server and its superuser."""

    host: str
    port: int
    username: str
    password: str = Field(repr=False)
    sslmode: str


class PoolerEndpoint(_Endpoint):
    """The pooler, where the machine has one."""

    host: str
    port: int
    auth_role: str


class VaultEndpoint(_Endpoint):
    """The Vault server and its root token."""

    address: str
    ca_cert_pem: str
    root_token: str = Field(repr=False)


class KubernetesEndpoint(_Endpoint):
    """The API server and its administrator's kubeconfig."""

    server: str
    kubeconfig: str = Field(repr=False)
    context: str
    ca_cert_pem: str


class SshEndpoint(_Endpoint):
    """The SSH server that stands for a host, where the machine has one."""

    address: str
    port: int
    user: str
    host_key: str
    identity_file: str
    root: str
    python: str

    def connection(self) -> dict[str, Any]:
        """Describe it as a machine."""
        return {**self.model_dump(), "ssh_config": None}


class Endpoints(_Endpoint):
    """All embedded backends, and the directory of the file that describes them."""

    postgres: PostgresEndpoint
    pooler: PoolerEndpoint | None
    vault: VaultEndpoint
    kubernetes: KubernetesEndpoint
    ssh: SshEndpoint | None = None
    directory: FilePath = FilePath("/")


_NO_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
"""The public half of no key."""

PLACEHOLDER: Final = Endpoints(
    postgres=PostgresEndpoint(host="127.0.0.1", port=5432, username="postgres", password="", sslmode="disable"),
    pooler=None,
    vault=VaultEndpoint(address="https://127.0.0.1:8200", ca_cert_pem="placeholder", root_token=""),
    kubernetes=KubernetesEndpoint(
        server="https://127.0.0.1:6443",
        kubeconfig="",
        context="sandbox",
        ca_cert_pem="placeholder",
    ),
    ssh=SshEndpoint(
        address="127.0.0.1",
        port=22,
        user="sandbox",
        host_key=f"ssh-ed25519 {_NO_KEY}",
        identity_file="/dev/null",
        root="/nonexistent",
        python="python3",
    ),
)
"""Stands for the embedded backends while a file is only validated; nothing ever connects to it."""


def read_endpoints(variables: Mapping[str, str]) -> Endpoints:
    """Read the file named by FACTORY_ENDPOINTS.

    Raises SettingsError when the sandbox is not started or the file damaged.
    """
    name = variables.get(ENDPOINTS_VARIABLE, "")
    if not name:
        raise SettingsError(
            [Problem("", ENDPOINTS_VARIABLE, "is not set, and the stack has `backends: embedded`", _START)]
        )
    path = FilePath(name)
    try:
        found = Endpoints.model_validate_json(path.read_bytes())
    except OSError as error:
        rule = f"{path.name} cannot be read: {error.strerror}"
        raise SettingsError([Problem("", ENDPOINTS_VARIABLE, rule, _START)]) from error
    except ValidationError as error:
        # Only the places: the values are secrets.
        places = ", ".join(sorted({".".join(str(part) for part in one["loc"]) or "the file" for one in error.errors()}))
        rule = f"{path.name} is not what this release writes ({places})"
        fix = "Run `./factory sandbox stop`, then `./factory sandbox start`"
        raise SettingsError([Problem("", ENDPOINTS_VARIABLE, rule, fix)]) from None
    return found.model_copy(update={"directory": path.parent.absolute()})


def fill(raw: Mapping[str, Any], endpoints: Endpoints) -> dict[str, Any]:
    """Add everything that follows from the embedded backends; what the stack file says wins.

    A machine without a pooler lets applications reach PostgreSQL directly, on the same settings (PG-13 is then not
    covered). One without an SSH server has no hosts: those that the sandbox would stand for are left out.
    """
    postgres, pooler, vault, cluster = endpoints.postgres, endpoints.pooler, endpoints.vault, endpoints.kubernetes
    hop = {"host": pooler.host, "port": pooler.port, "auth_role": pooler.auth_role} if pooler else None
    hop = hop or {"host": postgres.host, "port": postgres.port}
    filled = dict(raw)
    derived: dict[str, dict[str, Any]] = {
        "platform": {
            "vault": {"address": vault.address, "ca_pem": vault.ca_cert_pem},
            "postgres": {
                "host": postgres.host,
                "port": postgres.port,
                "sslmode": postgres.sslmode,
                "pooler": hop | {"sslmode": "disable", "cidr": f"{hop['host']}/32"},
            },
            "backup": {"directory": str(endpoints.directory / "backups")},
        },
        # Without a pooler nobody has made its role.
        "postgres_foundation": {"create_pooler_role": pooler is None},
        "vault_foundation": {"kubernetes": {"host": cluster.server, "ca_pem": cluster.ca_cert_pem}},
    }
    for section, values in derived.items():
        if isinstance(raw.get(section), Mapping):
            filled[section] = _merged(values, raw[section])
    if isinstance(raw.get("hosts"), Mapping):
        filled["hosts"] = dict(_hosts(raw["hosts"], endpoints.ssh))
    return filled


def certificate_file(endpoints: Endpoints) -> str:
    """Keep the Vault authority's certificate as a file, all that the Vault provider accepts.

    It is public, and its name is its content.

    Written only when it is not there: a plan made twice sees the same path, and nothing is left behind.
    """
    content = endpoints.vault.ca_cert_pem.encode()
    path = endpoints.directory / f"vault-ca-{hashlib.sha256(content).hexdigest()[:16]}.pem"
    if not path.exists():
        handle, temporary = tempfile.mkstemp(dir=endpoints.directory, prefix=".vault-ca-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        FilePath(temporary).replace(path)
    return str(path)


def _hosts(raw: Mapping[str, Any], server: SshEndpoint | None) -> Iterator[tuple[str, Any]]:
    """Give each machine without a connection the sandbox's own."""
    for name, machine in raw.items():
        if not isinstance(machine, Mapping) or "connection" in machine:
            yield name, machine
        elif server is not None:
            yield name, {**machine, "connection": server.connection()}


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """`high` laid over `low`, mapping by mapping."""
    return {
        key: _merged(low[key], high[key])
        if isinstance(low.get(key), Mapping) and isinstance(high.get(key), Mapping)
        else high.get(key, low.get(key))
        for key in (*low, *(key for key in high if key not in low))
    }
