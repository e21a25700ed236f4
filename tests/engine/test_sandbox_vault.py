"""The embedded Vault: real logins by Kubernetes tokens, dynamic database users, and an audit log without secrets."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from pathlib import Path

import httpx
import psycopg
import pytest

from sandbox.endpoints import Endpoints
from sandbox.logs import CAP_BYTES, predecessor

pytestmark = pytest.mark.engine


def test_it_is_unsealed_and_speaks_tls_of_its_own_authority_only(sandbox: Endpoints, vault: httpx.Client) -> None:
    health = vault.get("sys/health").raise_for_status().json()
    assert (health["initialized"], health["sealed"]) == (True, False)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{sandbox.vault.address}/v1/sys/health", verify=ssl.create_default_context(), trust_env=False)


def test_the_keys_are_where_a_sandbox_keeps_them_and_private(sandbox: Endpoints, sandbox_state: Path) -> None:
    keys = sandbox_state / "sandbox" / "cluster-keys.json"
    assert "/sandbox/" in str(keys)  # POL-12
    assert keys.stat().st_mode & 0o777 == 0o600
    assert keys.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(keys.read_text())["root_token"] == sandbox.vault.root_token


def test_the_audit_log_names_the_request_and_hides_the_secret(vault: httpx.Client, sandbox_state: Path) -> None:
    canary, mount = f"canary{uuid.uuid4().hex}", f"kv-{uuid.uuid4().hex[:8]}"
    vault.post(f"sys/mounts/{mount}", json={"type": "kv", "options": {"version": "2"}}).raise_for_status()
    vault.post(f"{mount}/data/app/config", json={"data": {"token": canary}}).raise_for_status()
    assert vault.get(f"{mount}/data/app/config").json()["data"]["data"]["token"] == canary
    log = sandbox_state / "logs" / "vault-audit.log"
    assert f"{mount}/data/app/config" in log.read_text()
    assert canary not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    vault.delete(f"sys/mounts/{mount}").raise_for_status()


def test_a_full_audit_log_is_put_aside_and_vault_goes_on_in_a_new_one(vault: httpx.Client, sandbox_state: Path) -> None:
    log = sandbox_state / "logs" / "vault-audit.log"
    with log.open("ab") as stream:
        stream.write(b"x" * CAP_BYTES)
    deadline = time.monotonic() + 90
    while not predecessor(log).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while not (log.exists() and "sys/mounts" in log.read_text()):
        assert time.monotonic() < deadline
        vault.get("sys/mounts").raise_for_status()
        time.sleep(0.1)
    assert log.stat().st_size < CAP_BYTES


def test_a_pod_identity_logs_in_and_gets_a_database_user_that_ends_with_its_lease(
    sandbox: Endpoints, vault: httpx.Client, kube: httpx.Client, reviewer_token: str
) -> None:
    """The chain of APP-07 by hand, as far as the backends carry it."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    kube.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    kube.post(f"/api/v1/namespaces/{name}/serviceaccounts", json={"metadata": {"name": name}}).raise_for_status()
    vault.post(f"sys/auth/{name}", json={"type": "kubernetes"}).raise_for_status()
    vault.post(
        f"auth/{name}/config",
        json={
            "kubernetes_host": sandbox.kubernetes.server,
            "kubernetes_ca_cert": sandbox.kubernetes.ca_cert_pem,
            "token_reviewer_jwt": reviewer_token,
        },
    ).raise_for_status()
    vault.post(
        f"auth/{name}/role/{name}",
        json={
            "bound_service_account_names": [name],
            "bound_service_account_namespaces": [name],
            "audience": "vault",
            "token_policies": [name],
        },
    ).raise_for_status()
    vault.post(f"sys/mounts/{name}", json={"type": "database"}).raise_for_status()
    server = sandbox.postgres
    vault.post(
        f"{name}/config/main",
        json={
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": [name],
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{server.host}:{server.port}/postgres?sslmode=disable",
            "username": server.username,
            "password": server.password,
            "password_authentication": "scram-sha-256",
        },
    ).raise_for_status()
    creation = [
        "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        'GRANT CONNECT ON DATABASE postgres TO "{{name}}"',
    ]
    role = {"db_name": "main", "creation_statements": creation, "default_ttl": "5m"}
    vault.post(f"{name}/roles/{name}", json=role).raise_for_status()
    policy = f'path "{name}/creds/{name}" {{ capabilities = ["read"] }}'
    vault.put(f"sys/policies/acl/{name}", json={"policy": policy}).raise_for_status()

    def login(audience: str) -> httpx.Response:
        request = {"spec": {"audiences": [audience], "expirationSeconds": 600}}
        token = kube.post(f"/api/v1/namespaces/{name}/serviceaccounts/{name}/token", json=request).json()["status"]
        return vault.post(f"auth/{name}/login", json={"role": name, "jwt": token["token"]})

    assert login("somebody-else").status_code in {400, 403}
    client_token = login("vault").raise_for_status().json()["auth"]["client_token"]
    minted = vault.get(f"{name}/creds/{name}", headers={"X-Vault-Token": client_token}).raise_for_status().json()
    login_as = {"user": minted["data"]["username"], "password": minted["data"]["password"]}
    with psycopg.connect(host=server.host, port=server.port, dbname="postgres", **login_as) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (login_as["user"],)
    vault.put("sys/leases/revoke", json={"lease_id": minted["lease_id"], "sync": True}).raise_for_status()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=server.host, port=server.port, dbname="postgres", **login_as)
    for path in (f"sys/mounts/{name}", f"sys/auth/{name}", f"sys/policies/acl/{name}"):
        vault.delete(path).raise_for_status()
    kube.delete(f"/api/v1/namespaces/{name}").raise_for_status()
