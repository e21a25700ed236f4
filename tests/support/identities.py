"""The people and programs that use an application environment, each with credentials of its own."""

from __future__ import annotations

import base64
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import psycopg
import yaml

from sandbox.endpoints import Endpoints


@dataclass(frozen=True)
class VaultIdentity:
    """A holder of a Vault token."""

    http: httpx.Client
    token: str

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Call `/v1/<path>`; the caller looks at the status."""
        return self.http.request(method, f"/v1/{path}", headers={"X-Vault-Token": self.token}, json=body)

    def read(self, path: str) -> dict[str, Any]:
        """Read a path that must be readable."""
        answer = self.request("GET", path)
        assert answer.status_code == httpx.codes.OK, f"{path}: {answer.status_code} {answer.text}"
        document: dict[str, Any] = answer.json()
        return document


@dataclass(frozen=True)
class Login:
    """Short-lived credentials and the lease that ends them."""

    username: str
    password: str
    lease_id: str


def vault_client(endpoints: Endpoints) -> httpx.Client:
    """Return a client that trusts the sandbox's authority."""
    trust = ssl.create_default_context(cadata=endpoints.vault.ca_cert_pem)
    # Nobody closes an identity's client, so it keeps no connection open.
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(base_url=endpoints.vault.address, verify=trust, timeout=30, limits=limits)


def operator(endpoints: Endpoints) -> VaultIdentity:
    """The operator: root."""
    return VaultIdentity(vault_client(endpoints), endpoints.vault.root_token)


def cluster_client(endpoints: Endpoints) -> httpx.Client:
    """Return the administrator's client of the Kubernetes API."""
    config = yaml.safe_load(endpoints.kubernetes.kubeconfig)
    user = config["users"][0]["user"]
    trust = ssl.create_default_context(cadata=endpoints.kubernetes.ca_cert_pem)
    if "token" in user:
        return httpx.Client(
            base_url=endpoints.kubernetes.server,
            verify=trust,
            timeout=30,
            headers={"Authorization": f"Bearer {user['token']}"},
        )

    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name in ("client-certificate-data", "client-key-data"):
            file = Path(folder, name)
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(user[name]))
            files.append(str(file))
        trust.load_cert_chain(*files)
    return httpx.Client(base_url=endpoints.kubernetes.server, verify=trust, timeout=30)


def service_account_token(endpoints: Endpoints, namespace: str, name: str, audience: str = "vault") -> str:
    """Ask the API server for a token of a ServiceAccount, as the Vault Secrets Operator does."""
    with cluster_client(endpoints) as client:
        answer = client.post(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            json={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"audiences": [audience], "expirationSeconds": 600},
            },
        )
    answer.raise_for_status()
    return str(answer.json()["status"]["token"])


def log_in(endpoints: Endpoints, mount: str, role: str, token: str) -> httpx.Response:
    """Log in to Vault with a token of Kubernetes or of the forge."""
    return vault_client(endpoints).post(f"/v1/auth/{mount}/login", json={"role": role, "jwt": token})


def workload(endpoints: Endpoints, app: str, *, mount: str = "kubernetes") -> VaultIdentity:
    """The application itself: what its ServiceAccount may do."""
    answer = log_in(endpoints, mount, app, service_account_token(endpoints, app, app))
    assert answer.status_code == httpx.codes.OK, f"login of {app}: {answer.status_code} {answer.text}"
    return VaultIdentity(vault_client(endpoints), answer.json()["auth"]["client_token"])


def short_lived_login(identity: VaultIdentity, app: str, *, mount: str = "postgres") -> Login:
    """Get a database login from Vault."""
    answer = identity.read(f"{mount}/creds/{app}")
    return Login(answer["data"]["username"], answer["data"]["password"], answer["lease_id"])


def connect(endpoints: Endpoints, database: str, login: Login) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the database server directly."""
    return psycopg.connect(
        host=endpoints.postgres.host,
        port=endpoints.postgres.port,
        dbname=database,
        user=login.username,
        password=login.password,
        autocommit=True,
        connect_timeout=10,
    )


def superuser(endpoints: Endpoints, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
    """Connect as the server's superuser."""
    return connect(endpoints, database, Login(endpoints.postgres.username, endpoints.postgres.password, ""))


def ci_token(private_key: str, claims: Mapping[str, Any], *, audience: str, lifetime: int = 300) -> str:
    """Sign a token as the forge's CI would for one repository."""
    now = int(time.time())
    payload = {"iat": now, "nbf": now - 1, "exp": now + lifetime, "aud": audience, **claims}
    return jwt.encode(payload, private_key, algorithm="ES256")
