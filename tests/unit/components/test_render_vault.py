"""Policies and logins: golden texts, and paths that reach no further than they read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.app_stack import App
from components.app_stack.render_vault import (
    Rule,
    acl_path,
    bound_claims,
    ops_rules,
    policy_text,
    runtime_rules,
    service_accounts,
)
from tests.support.site import DATABASE_ONLY, PLATFORM, application, platform


def app(name: str = "webapp", **overrides: Any) -> App:
    return App.of(name, application(**overrides), platform())


def test_runtime_policy() -> None:  # VAULT-12
    assert policy_text(runtime_rules(app())) == (
        'path "kvv2/data/webapp/*" {\n  capabilities = ["read"]\n}\n'
        "\n"
        'path "postgres/creds/webapp" {\n  capabilities = ["read"]\n}\n'
    )


def test_ops_policy_writes_the_applications_secrets_and_no_role() -> None:  # VAULT-70
    assert policy_text(ops_rules(app())) == (
        'path "kvv2/data/webapp/*" {\n  capabilities = ["create", "delete", "patch", "read", "update"]\n}\n'
        "\n"
        'path "kvv2/data/webapp/config" {\n  capabilities = ["read"]\n}\n'
    )


def test_an_application_without_a_database_reads_no_credentials() -> None:
    rules = runtime_rules(app(mode="application-only", database={}))
    assert [rule.path for rule in rules] == ["kvv2/data/webapp/*"]


@pytest.mark.parametrize(
    "path", ["*", "kvv2/data/webapp*", "kvv2/*/config", "/kvv2/data", "kvv2/data/+/x", "kvv2//x", ""]
)
def test_a_path_that_reaches_too_far_is_refused(path: str) -> None:  # VAULT-72
    with pytest.raises(ValueError, match="VAULT-72"):
        Rule(path, ("read",))


@given(mount=st.sampled_from(["kvv1", "kvv2"]), name=st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True))
def test_only_version_two_has_data_in_its_path(mount: str, name: str) -> None:  # VAULT-65, TEST-05
    assert acl_path(mount, 2, name) == f"{mount}/data/{name}"
    assert acl_path(mount, 1, name) == f"{mount}/{name}"


@given(name=st.from_regex(r"[a-z]{3,10}", fullmatch=True).filter(lambda name: name not in platform().naming.reserved))
def test_no_policy_covers_another_application(name: str) -> None:  # VAULT-72, NAME-24
    one, other = app(name), app(f"{name}-two")
    for rule in (*runtime_rules(one), *ops_rules(one)):
        for foreign in (
            f"kvv2/data/{other.names.config_path}",
            f"postgres/creds/{other.names.database_role}",
            f"kvv2/metadata/{one.names.config_path}",
        ):
            covered = foreign.startswith(rule.path[:-1]) if rule.path.endswith("*") else foreign == rule.path
            assert not covered


def test_a_token_of_ci_must_name_its_repository() -> None:  # VAULT-71
    assert bound_claims(app()) == {"repository": "example-org/webapp"}
    assert bound_claims(app(organization="someone")) == {"repository": "someone/webapp"}
    vault = {**PLATFORM["vault"], "jwt": {"bound_claims": {"sub": "repo:{org}/{app}", "kind": "ci"}}}  # type: ignore[dict-item]
    assert bound_claims(App.of("webapp", application(), platform(vault=vault))) == {
        "sub": "repo:example-org/webapp",
        "kind": "ci",
    }


def test_further_service_accounts_join_the_applications_own() -> None:  # VAULT-14
    further = {"service_account_names": ["cloudflared"], "service_account_namespaces": ["tools"]}
    assert service_accounts(app(vault=further)) == (["cloudflared", "webapp"], ["tools", "webapp"])


def test_a_database_alone_is_read_by_the_accounts_it_names_only() -> None:  # NAME-33
    further = {"service_account_names": ["plausible"], "service_account_namespaces": ["tools"]}
    alone = app("plausible", **DATABASE_ONLY, vault=further)
    assert service_accounts(alone) == (["plausible"], ["tools"])
