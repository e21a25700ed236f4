"""Ids that follow from inputs, and state edits."""

from __future__ import annotations

from typing import Any

import pytest

from cli import state_edit
from cli.deterministic_ids import deterministic_id, place_of

FUNCTION = {
    "database": "shop",
    "name": "user_lookup",
    "args": [{"type": "text"}, {"mode": "OUT", "type": "text"}, {"mode": "INOUT", "type": "integer"}],
}
GRANT = {"role": "shop_role", "database": "shop"}
LOGIN = {"backend": "kubernetes", "roleName": "shop"}
NAMED = {"backend": "postgres", "name": "shop"}


@pytest.mark.parametrize(
    ("kind", "inputs", "identity"),
    [
        ("postgresql:index/function:Function", FUNCTION, "shop.public.user_lookup(text,integer)"),
        ("postgresql:index/grant:Grant", GRANT | {"objectType": "database"}, "shop_role_shop_database"),
        (
            "postgresql:index/grant:Grant",
            GRANT | {"objectType": "table", "schema": "public", "objects": ["b", "a"]},
            "shop_role_shop_public_table_a_b",
        ),
        ("postgresql:index/grantRole:GrantRole", {"role": "a", "grantRole": "b"}, "a_b_false"),
        ("postgresql:index/grantRole:GrantRole", {"role": "a", "grantRole": "b", "withAdminOption": True}, "a_b_true"),
        ("vault:kubernetes/authBackendRole:AuthBackendRole", LOGIN, "auth/kubernetes/role/shop"),
        ("vault:database/secretBackendRole:SecretBackendRole", NAMED, "postgres/roles/shop"),
        ("vault:kv/secretV2:SecretV2", {"mount": "kvv2", "name": "shop/config"}, "kvv2/data/shop/config"),
        ("kubernetes:core/v1:Namespace", {"metadata": {"name": "shop"}}, "shop"),
        ("kubernetes:core/v1:Secret", {"metadata": {"name": "ca", "namespace": "shop"}}, "shop/ca"),
        ("kubernetes:core/v1:Secret", {"metadata": {"generateName": "ca-"}}, None),
        ("vault:identity/group:Group", {"name": "shop-ops"}, None),
        ("pulumi-python:dynamic/factory:GeneratedPassword", {"length": 24}, None),
        ("postgresql:index/role:Role", {}, None),
    ],
)
def test_the_id_follows_from_the_inputs(kind: str, inputs: dict[str, Any], identity: str | None) -> None:
    assert deterministic_id(kind, inputs) == identity


def test_a_group_is_looked_up_by_its_name() -> None:
    assert place_of("vault:identity/group:Group", {"name": "shop-ops"}) == "identity/group/name/shop-ops"
    assert place_of("vault:index/policy:Policy", {"name": "shop"}) is None


def record(urn: str, **keys: Any) -> dict[str, Any]:
    return {"urn": urn, "type": "t", "custom": True} | keys


def test_a_record_stands_after_what_it_needs() -> None:
    child = record("child", parent="parent", dependencies=["sibling"], provider="provider::1")
    fresh = [child, record("sibling"), record("parent"), record("provider")]
    edited = state_edit.add({"deployment": {"resources": [record("root")]}}, fresh)
    order = list(state_edit.resources(edited))
    assert order[0] == "root"
    assert order[-1] == "child"
    assert set(order) == {"root", "child", "sibling", "parent", "provider"}


def test_what_is_there_already_stays_as_it_is() -> None:
    present = {"deployment": {"resources": [record("a", id="known")]}}
    assert state_edit.add(present, [record("a", id="other")]) == present


def test_a_dependency_on_what_is_nowhere_is_left_out() -> None:
    properties = {"name": ["b", "gone"], "other": None}
    edited = state_edit.add({}, [record("a", dependencies=["b", "gone"], propertyDependencies=properties), record("b")])
    found = state_edit.resources(edited)["a"]
    assert found["dependencies"] == ["b"]
    assert found["propertyDependencies"] == {"name": ["b"], "other": []}
