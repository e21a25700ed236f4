"""What an operator made with SQL, Vault's API and kubectl before this program came, and what a look at it shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from string import Template
from typing import Any

from psycopg import sql

from components.app_stack import render_sql
from components.services.postgres.render import lookup_body
from sandbox.endpoints import Endpoints
from tests.support.identities import VaultIdentity, cluster_client, operator, superuser

APP = "ledger"
EDITOR_PASSWORD = "known-to-the-operator-alone"
SESSION_KEY = "set-long-ago"
KV = "grown-kv/data/ledger/config"

_ROLES = (
    "CREATE ROLE ledger_role",
    "CREATE ROLE ledger_edit LOGIN CREATEROLE PASSWORD {password}",
    "GRANT ledger_role TO ledger_edit WITH ADMIN OPTION",
    "CREATE DATABASE ledger OWNER ledger_role TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
    "REVOKE ALL ON DATABASE ledger FROM PUBLIC",
    "GRANT CONNECT ON DATABASE ledger TO ledger_edit, {pooler}",
)
_INSIDE = (
    """CREATE FUNCTION public.user_lookup(IN i_username text, OUT uname text, OUT phash text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER AS {body}""",
    "REVOKE ALL ON FUNCTION public.user_lookup(text) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION public.user_lookup(text) TO {pooler}",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "GRANT CREATE, USAGE ON SCHEMA public TO ledger_role",
    "GRANT USAGE ON SCHEMA public TO {pooler}",
)
_RUNTIME = """path "grown-kv/data/ledger/*" {
  capabilities = ["read"]
}

path "grown-postgres/creds/ledger" {
  capabilities = ["read"]
}
"""
OPS = """path "grown-kv/data/ledger/*" {
  capabilities = ["create", "delete", "patch", "read", "update"]
}

path "grown-kv/data/ledger/config" {
  capabilities = ["read"]
}
"""


def make_database(endpoints: Endpoints) -> None:
    """Roles, database, privileges and the look-up function, with psql's statements."""
    pooler = endpoints.pooler.auth_role if endpoints.pooler else "pgbouncer_auth"
    words = {
        "password": sql.Literal(EDITOR_PASSWORD),
        "pooler": sql.Identifier(pooler),
        "body": sql.Literal(lookup_body(pooler)),
    }
    for database, statements in (("postgres", _ROLES), (APP, _INSIDE)):
        with superuser(endpoints, database) as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement).format(**words))


_MOUNTS: dict[str, dict[str, Any]] = {
    "sys/mounts/grown-kv": {"type": "kv", "options": {"version": "2"}},
    "sys/mounts/grown-postgres": {"type": "database"},
    "sys/auth/grown-kubernetes": {"type": "kubernetes"},
    "sys/auth/grown-jwt": {"type": "jwt"},
}


def remove_mounts(endpoints: Endpoints) -> None:
    """Take the site's own mounts away: no stack has taken them over."""
    vault = operator(endpoints)
    for path in _MOUNTS:
        vault.request("DELETE", path).raise_for_status()


def make_vault(endpoints: Endpoints) -> None:
    """Mounts, policies, secret, roles, database connection and group."""
    vault, server = operator(endpoints), endpoints.postgres
    for path, body in (
        *_MOUNTS.items(),
        ("sys/policies/acl/ledger", {"policy": _RUNTIME}),
        ("sys/policies/acl/ledger-ops", {"policy": OPS}),
        (KV, {"data": {"SESSION_KEY": SESSION_KEY}}),
        (
            "auth/grown-kubernetes/role/ledger",
            {
                "bound_service_account_names": [APP],
                "bound_service_account_namespaces": [APP],
                "audience": "vault",
                "token_policies": ["default", "ledger"],
                "token_ttl": 3600,
            },
        ),
        (
            "auth/grown-jwt/role/gitea_cicd_ledger",
            {
                "role_type": "jwt",
                "user_claim": "email",
                "bound_audiences": ["sandbox-ledger"],
                "bound_claims_type": "string",
                "bound_claims": {"repository": "sandbox-org/ledger"},
                "token_policies": ["default", "ledger-ops"],
                "token_ttl": 900,
                "token_max_ttl": 900,
            },
        ),
        (
            "grown-postgres/config/ledger",
            {
                "plugin_name": "postgresql-database-plugin",
                "allowed_roles": [APP],
                "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{server.host}:{server.port}/ledger"
                f"?sslmode={server.sslmode}",
                "username": "ledger_edit",
                "password": EDITOR_PASSWORD,
                "max_open_connections": 2,
                "password_authentication": "scram-sha-256",
            },
        ),
        (
            "grown-postgres/roles/ledger",
            {
                "db_name": APP,
                "creation_statements": list(render_sql.creation_statements("ledger_role", connection_limit=-1)),
                "revocation_statements": list(render_sql.revocation_statements("ledger_role")),
                "default_ttl": 3600,
                "max_ttl": 86400,
            },
        ),
        ("identity/group", {"name": "ledger-ops", "type": "internal", "policies": ["ledger-ops"]}),
    ):
        _done(vault, path, body)


def write_vault(endpoints: Endpoints, path: str, body: dict[str, Any]) -> None:
    """Write something as the operator."""
    _done(operator(endpoints), path, body)


def make_objects(endpoints: Endpoints, kubeconfig: Path, kubectl: Path) -> None:
    """Create every manifest with kubectl."""
    manifests = Template(Path(__file__).with_name("objects.yaml").read_text("utf-8")).substitute(
        ca=json.dumps(endpoints.vault.ca_cert_pem),
        vault_address=endpoints.vault.address,
        pooler_port=endpoints.pooler.port if endpoints.pooler else endpoints.postgres.port,
    )
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(endpoints.kubernetes.kubeconfig, "utf-8")
    done = subprocess.run(
        [kubectl, "--kubeconfig", kubeconfig, "create", "-f", "-"],
        input=manifests,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def snapshot(endpoints: Endpoints) -> dict[str, Any]:
    """Everything that a write to one of these objects would change, even a write of the same value."""
    found: dict[str, Any] = {}
    with superuser(endpoints, APP) as connection:
        for table, which in (
            ("pg_authid", "rolname LIKE 'ledger%'"),
            ("pg_database", "datname = 'ledger'"),
            ("pg_proc", "proname = 'user_lookup'"),
            ("pg_namespace", "nspname = 'public'"),
            ("pg_auth_members", "roleid IN (SELECT oid FROM pg_roles WHERE rolname LIKE 'ledger%')"),
        ):
            query = f"SELECT xmin::text, t.*::text FROM {table} t WHERE {which} ORDER BY 2"  # noqa: S608 constants
            found[table] = connection.execute(query.encode()).fetchall()
    vault = operator(endpoints)
    for path in (
        "sys/policies/acl/ledger",
        "sys/policies/acl/ledger-ops",
        "grown-kv/metadata/ledger/config",
        "auth/grown-kubernetes/role/ledger",
        "auth/grown-jwt/role/gitea_cicd_ledger",
        "grown-postgres/config/ledger",
        "grown-postgres/roles/ledger",
        "identity/group/name/ledger-ops",
    ):
        found[path] = vault.read(path)["data"]
    with cluster_client(endpoints) as cluster:
        for path in (
            "/api/v1/namespaces/ledger/serviceaccounts",
            "/api/v1/namespaces/ledger/limitranges",
            "/api/v1/namespaces/ledger/resourcequotas",
            "/api/v1/namespaces/ledger/secrets",
            "/apis/networking.k8s.io/v1/namespaces/ledger/networkpolicies",
            *(
                f"/apis/secrets.hashicorp.com/v1beta1/namespaces/ledger/{kind}"
                for kind in ("vaultauths", "vaultconnections", "vaultdynamicsecrets", "vaultstaticsecrets")
            ),
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects",
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications",
        ):
            for item in cluster.get(path).raise_for_status().json()["items"]:
                if item["metadata"]["name"] not in {"default", "kube-root-ca.crt"}:
                    found[f"{path}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    return found


def _done(vault: VaultIdentity, path: str, body: dict[str, Any]) -> None:
    answer = vault.request("POST", path, body)
    assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
