"""What each identity is refused, beside the same call by the identity that may (section 8, item 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.endpoints import Endpoints
from tests.engine.application.conftest import APP, OTHER, Site
from tests.support.identities import (
    VaultIdentity,
    ci_token,
    connect,
    log_in,
    service_account_token,
    short_lived_login,
    vault_client,
    workload,
)
from toolchain.paths import ROOT

pytestmark = pytest.mark.engine

FORGE = "https://forge.sandbox.test"
KEY = Path(ROOT, "tests", "fixtures", "sandbox", "ci-token-key.pem").read_text("utf-8")
OK, WRITTEN, FORBIDDEN = httpx.codes.OK, {httpx.codes.OK, httpx.codes.NO_CONTENT}, httpx.codes.FORBIDDEN
REFUSED_LOGIN = {httpx.codes.BAD_REQUEST, httpx.codes.FORBIDDEN}


def ci_login(
    endpoints: Endpoints, app: str, *, key: str = KEY, audience: str | None = None, **claims: Any
) -> httpx.Response:
    """Log in as the CI of `app`, with a token of its own repository unless `claims` say otherwise."""
    given = {"iss": FORGE, "email": "ci@sandbox.test", "repository": f"sandbox-org/{app}"} | claims
    token = ci_token(key, given, audience=audience or f"sandbox-{app}")
    return log_in(endpoints, "gitea_jwt", f"gitea_cicd_{app}", token)


def ci(endpoints: Endpoints, app: str) -> VaultIdentity:
    answer = ci_login(endpoints, app).raise_for_status()
    return VaultIdentity(vault_client(endpoints), answer.json()["auth"]["client_token"])


def test_an_application_reads_its_own_secrets_only(site: Site, root: VaultIdentity) -> None:
    """VAULT-12, VAULT-72: also not those of a neighbour whose name begins like its own."""
    neighbour = f"kvv2/data/{APP}2/config"
    root.request("POST", neighbour, {"data": {"key": "value"}}).raise_for_status()
    pods = {app: workload(site.endpoints, app) for app in (APP, OTHER)}
    assert pods[APP].read(f"kvv2/data/{APP}/config")["data"]["data"] == {"SESSION_KEY": site.canary}
    assert pods[OTHER].read(f"kvv2/data/{OTHER}/config")["data"]["data"] == {}
    assert pods[APP].request("GET", f"kvv2/data/{OTHER}/config").status_code == FORBIDDEN
    assert pods[OTHER].request("GET", f"kvv2/data/{APP}/config").status_code == FORBIDDEN
    assert pods[APP].request("GET", neighbour).status_code == FORBIDDEN
    assert root.request("DELETE", f"kvv2/metadata/{APP}2/config").status_code in WRITTEN
    for path in ("kvv2/metadata?list=true", "sys/policies/acl?list=true", "auth/kubernetes/role?list=true"):
        assert pods[APP].request("GET", path).status_code == FORBIDDEN, path
        assert root.request("GET", path).status_code == OK, path


def test_the_runtime_policy_writes_nothing(site: Site, root: VaultIdentity) -> None:
    pod = workload(site.endpoints, APP)
    for path in (f"kvv2/data/{APP}/config", f"kvv2/data/{APP}/of-its-own"):
        assert pod.request("POST", path, {"data": {}}).status_code == FORBIDDEN
        assert pod.request("DELETE", path).status_code == FORBIDDEN
    assert root.request("POST", f"kvv2/data/{APP}/of-its-own", {"data": {}}).status_code == OK
    assert root.request("DELETE", f"kvv2/metadata/{APP}/of-its-own").status_code in WRITTEN


def test_an_application_gets_its_own_database_credentials_only(site: Site) -> None:
    pods = {app: workload(site.endpoints, app) for app in (APP, OTHER)}
    assert pods[APP].request("GET", f"postgres/creds/{OTHER}").status_code == FORBIDDEN
    assert pods[OTHER].request("GET", f"postgres/creds/{APP}").status_code == FORBIDDEN
    logins = {app: short_lived_login(pods[app], app) for app in (APP, OTHER)}
    for app, stranger in ((APP, OTHER), (OTHER, APP)):
        with connect(site.endpoints, app, logins[app]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (f"{app}_role",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f'SET ROLE "{stranger}_role"')
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect(site.endpoints, app, logins[stranger])


def test_a_service_account_logs_in_as_its_own_application_only(site: Site) -> None:
    """VAULT-22, VAULT-23."""
    token = service_account_token(site.endpoints, APP, APP)
    assert log_in(site.endpoints, "kubernetes", APP, token).status_code == OK
    assert log_in(site.endpoints, "kubernetes", OTHER, token).status_code in REFUSED_LOGIN
    for namespace, account, audience in ((APP, "default", "vault"), (OTHER, OTHER, "vault"), (APP, APP, "elsewhere")):
        stranger = service_account_token(site.endpoints, namespace, account, audience)
        assert log_in(site.endpoints, "kubernetes", APP, stranger).status_code in REFUSED_LOGIN, (namespace, account)


def test_the_ci_of_one_repository_logs_in(site: Site) -> None:
    """VAULT-71: repository, audience, issuer, signature and time all have to fit."""
    assert ci_login(site.endpoints, APP).status_code == OK
    assert ci_login(site.endpoints, OTHER).status_code == OK
    for wrong in (
        {"repository": f"sandbox-org/{OTHER}"},
        {"repository": f"somebody-else/{APP}"},
        {"repository": f"sandbox-org/{APP}-fork"},
        {"audience": f"sandbox-{OTHER}"},
        {"iss": "https://forge.example.test"},
        {"exp": 1_700_000_000},
    ):
        assert ci_login(site.endpoints, APP, **wrong).status_code in REFUSED_LOGIN, wrong


def test_a_token_that_the_forge_did_not_sign_is_refused(site: Site) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert ci_login(site.endpoints, APP, key=stranger.decode()).status_code in REFUSED_LOGIN
    assert ci_login(site.endpoints, APP).status_code == OK


def test_ci_writes_its_own_secrets_but_not_what_this_program_writes(site: Site, root: VaultIdentity) -> None:
    """VAULT-70: who writes roles or policies chooses what they allow, so CI writes neither."""
    pipeline = ci(site.endpoints, APP)
    own, config = f"kvv2/data/{APP}/deploy", f"kvv2/data/{APP}/config"
    assert pipeline.request("POST", own, {"data": {"token": "made-in-ci"}}).status_code == OK
    assert pipeline.read(own)["data"]["data"] == {"token": "made-in-ci"}
    assert pipeline.read(config)["data"]["data"] == {"SESSION_KEY": site.canary}
    root.request("DELETE", f"kvv2/metadata/{APP}/deploy").raise_for_status()
    policy = {"policy": 'path "*" { capabilities = ["read"] }'}
    for method, path, body in (
        ("POST", config, {"data": {"SESSION_KEY": "changed-in-ci"}}),
        ("DELETE", config, {}),
        ("POST", f"kvv2/data/{OTHER}/deploy", {"data": {}}),
        ("GET", f"kvv2/data/{OTHER}/config", {}),
        ("PUT", f"sys/policies/acl/{APP}", policy),
        ("PUT", f"sys/policies/acl/{APP}-ops", policy),
        ("PUT", f"sys/policies/acl/{APP}-further", policy),
        ("POST", f"auth/kubernetes/role/{APP}", {"token_policies": ["root"]}),
        ("POST", f"auth/gitea_jwt/role/gitea_cicd_{APP}", {"token_policies": ["root"]}),
        ("POST", f"postgres/roles/{APP}", {"db_name": APP}),
        ("POST", f"postgres/config/{APP}", {}),
        ("GET", f"postgres/creds/{APP}", {}),
    ):
        assert pipeline.request(method, path, body or None).status_code == FORBIDDEN, f"{method} {path}"
    assert root.read(config)["data"]["data"] == {"SESSION_KEY": site.canary}
    assert root.read(f"sys/policies/acl/{APP}")["data"]["policy"].count("read") >= 1
    assert ci(site.endpoints, OTHER).request("GET", f"kvv2/data/{OTHER}/config").status_code == OK
