"""What exists once per site (PLAT-07, VAULT-01, VAULT-02, PG-14, PG-34)."""

from __future__ import annotations

from typing import Any

from components.services.postgres import PostgresFoundation, PostgresFoundationArgs
from components.services.vault import VaultFoundation, VaultFoundationArgs, VaultMounts
from tests.support.mocks import Graph, build
from tests.support.site import options

MOUNT = "vault:index/mount:Mount"
GRANT = "postgresql:index/grant:Grant"


def vault(args: dict[str, Any], **keywords: Any) -> Graph:
    def program() -> dict[str, Any]:
        created = VaultFoundation("vault", VaultFoundationArgs.model_validate(args), opts=options(), **keywords)
        return {"mounts": created.mounts}

    def computed(type_: str, _name: str, _inputs: Any) -> dict[str, Any]:
        return {"data": {"token": "cmV2aWV3ZXI="}} if type_ == "kubernetes:core/v1:Secret" else {}

    return build(program, computed=computed)


def postgres(**args: Any) -> Graph:
    def program() -> dict[str, Any]:
        created = PostgresFoundation("server", PostgresFoundationArgs.model_validate(args), opts=options())
        return {"password": created.pooler_password, "role": created.pooler_role}

    return build(program)


def test_mounts() -> None:
    graph = vault({})
    assert {(node.get("path"), node.get("type"), node.protect) for node in graph.all(MOUNT)} == {
        ("kvv2", "kv", True),
        ("kvv1", "kv", True),
        ("postgres", "database", False),
        ("transit", "transit", True),
    }
    assert graph.one(MOUNT, "vault-kv2").get("options") == {"version": "2"}
    assert graph.one(MOUNT, "vault-kv1").get("options") == {"version": "1"}
    assert graph.one(MOUNT, "vault-database").get("maxLeaseTtlSeconds") == 86400
    assert graph.exports["mounts"]["kubernetes"] == "kubernetes"


def test_mounts_are_data_and_absent_parts_build_nothing() -> None:
    graph = vault({"kv1": False}, mounts=VaultMounts(kv2="secrets"), protect=False)
    assert {node.get("path") for node in graph.all(MOUNT)} == {"secrets", "postgres", "transit"}
    assert not any(node.protect for node in graph)
    assert {node.type for node in graph if node.custom and "providers" not in node.type} == {MOUNT}


def test_pods_log_in_to_a_vault_inside_the_cluster() -> None:
    graph = vault({"kubernetes": {"host": "https://kubernetes.default.svc"}})
    config = graph.one("vault:kubernetes/authBackendConfig:AuthBackendConfig")
    assert config.inputs == {
        "backend": "kubernetes",
        "kubernetesHost": "https://kubernetes.default.svc",
        "disableLocalCaJwt": False,
    }
    assert not any(node.type.startswith("kubernetes:") for node in graph)


def test_a_vault_outside_the_cluster_has_an_identity_that_may_review_tokens() -> None:
    login = {"host": "https://cluster.example.test:6443", "ca_pem": "a certificate", "reviewer_namespace": "tools"}
    graph = vault({"kubernetes": login})
    config = graph.one("vault:kubernetes/authBackendConfig:AuthBackendConfig")
    assert config.get("disableLocalCaJwt") is True
    assert config.get("tokenReviewerJwt") == "reviewer"
    assert config.is_secret("tokenReviewerJwt")
    binding = graph.one("kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding")
    assert binding.get("roleRef.name") == "system:auth-delegator"
    assert binding.get("subjects") == [{"kind": "ServiceAccount", "name": "vault-token-reviewer", "namespace": "tools"}]


def test_ci_logs_in_by_discovery_or_by_given_keys() -> None:
    backend = "vault:jwt/authBackend:AuthBackend"
    found = vault({"jwt": {"discovery_url": "https://forge.example.test"}}).one(backend)
    assert (found.get("path"), found.get("oidcDiscoveryUrl")) == ("gitea_jwt", "https://forge.example.test")
    keys = vault({"jwt": {"public_keys": ["a key"], "issuer": "https://issuer.test"}}).one(backend)
    assert (keys.get("jwtValidationPubkeys"), keys.get("boundIssuer")) == (["a key"], "https://issuer.test")
    assert "oidcDiscoveryUrl" not in keys.inputs


def test_the_poolers_role_exists_already() -> None:  # PG-14
    graph = postgres()
    assert graph.all("postgresql:index/role:Role") == ()
    assert graph.exports["password"] is None
    assert graph.one("postgresql:index/function:Function").get("database") == "postgres"


def test_or_it_gets_a_password_that_nobody_chose() -> None:  # PG-31
    graph = postgres(create_pooler_role=True, databases=["postgres", "gitea"])
    role = graph.one("postgresql:index/role:Role")
    assert (role.get("name"), role.is_secret("password")) == ("pgbouncer_auth", True)
    assert graph.exports["password"] == {"secret": "value-of-server-pooler"}
    assert [node.get("database") for node in graph.all("postgresql:index/function:Function")] == ["postgres", "gitea"]
    for grant in graph.all(GRANT):
        assert graph.waits_for(grant, role)


def test_maintenance_databases_are_closed_too() -> None:  # PG-34
    graph = postgres()
    assert graph.one(GRANT, "server-postgres-connect-revoke").get("privileges") == []
    assert graph.one(GRANT, "server-postgres-connect-pooler").get("role") == "pgbouncer_auth"
