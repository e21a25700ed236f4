"""What is refused before any connection is made."""

from __future__ import annotations

from typing import Any

import pytest

from toolchain.plugins.kit import UNKNOWN, Context, Failure, ProviderError
from toolchain.plugins.postgresql.provider import PostgresqlProvider

BACKEND = PostgresqlProvider().configure({"host": "db.example.test"})
GRANT = {"database": "d", "role": "r", "privileges": []}


def check(
    kind: str, inputs: dict[str, Any], olds: dict[str, Any] | None = None
) -> tuple[dict[str, Any], list[Failure]]:
    token = f"postgresql:index/{kind[0].lower()}{kind[1:]}:{kind}"
    context = Context(token, urn=f"urn:pulumi:s::p::{token}::logical", seed=b"\x01\x02\x03\x04")
    return BACKEND.handler(token).check(context, olds or {}, inputs)


@pytest.mark.parametrize(
    ("kind", "inputs", "path"),
    [
        ("Role", {"encryptedPassword": False}, "encryptedPassword"),
        ("Role", {"connectionLimit": -2}, "connectionLimit"),
        ("Role", {"password": "a", "passwordWo": "b", "passwordWoVersion": "1"}, "passwordWo"),
        ("Role", {"passwordWo": "b"}, "passwordWoVersion"),
        ("Role", {"searchPaths": ["a, b"]}, "searchPaths"),
        ("Database", {"name": "x", "template": "x"}, "template"),
        ("Schema", {"policies": [{"usage": True}]}, "policies"),
        ("Grant", {**GRANT, "objectType": "tabel"}, "objectType"),
        ("Grant", {**GRANT, "objectType": "database", "privileges": ["SELECT"]}, "privileges"),
        ("Grant", {**GRANT, "objectType": "database", "privileges": ["CONNECT; DROP ROLE r"]}, "privileges"),
        ("Grant", {**GRANT, "objectType": "table"}, "schema"),
        ("Grant", {**GRANT, "objectType": "database", "objects": ["d"]}, "objects"),
        ("Grant", {**GRANT, "objectType": "column", "schema": "s", "objects": ["t"]}, "columns"),
        ("Grant", {**GRANT, "objectType": "column", "schema": "s", "objects": ["t", "u"], "columns": ["c"]}, "objects"),
        ("Grant", {**GRANT, "objectType": "table", "schema": "s", "columns": ["c"]}, "columns"),
        ("DefaultPrivileges", {**GRANT, "owner": "o", "objectType": "view"}, "objectType"),
        ("DefaultPrivileges", {**GRANT, "owner": "o", "objectType": "schema", "schema": "s"}, "schema"),
        ("Function", {"body": "x", "volatility": "SOMETIMES"}, "volatility"),
        ("Function", {"body": "x", "args": [{"type": "text", "mode": "BOTH"}]}, "args[0].mode"),
    ],
)
def test_bad_inputs_are_named(kind: str, inputs: dict[str, Any], path: str) -> None:
    _, failures = check(kind, inputs)
    assert [failure.path for failure in failures] == [path]


def test_unknowns_are_no_failures() -> None:
    for kind in ("Role", "Database", "Schema"):
        assert check(kind, {"name": UNKNOWN})[1] == []
    assert check("Grant", dict.fromkeys(("database", "role", "objectType", "privileges", "schema"), UNKNOWN))[1] == []
    assert check("Grant", {**GRANT, "objectType": "table", "schema": UNKNOWN, "objects": [UNKNOWN]})[1] == []
    assert check("Function", {"body": UNKNOWN, "args": [{"type": UNKNOWN}], "parallel": UNKNOWN})[1] == []


def test_a_name_is_generated_once() -> None:
    assert check("Role", {})[0]["name"] == "logical-0102030"
    assert check("Role", {}, {"name": "logical-abcdef0"})[0]["name"] == "logical-abcdef0"
    assert "name" not in check("Grant", {**GRANT, "objectType": "database"})[0]


def test_the_order_of_a_set_is_no_difference() -> None:
    inputs, _ = check("Grant", {**GRANT, "objectType": "database", "privileges": ["CREATE", "CONNECT", "CREATE"]})
    assert inputs["privileges"] == ["CONNECT", "CREATE"]


def test_a_body_may_come_in_dollar_quotes() -> None:
    assert check("Function", {"body": "AS $$ BEGIN END $$"})[0]["body"] == " BEGIN END "
    assert check("Function", {"body": " as $x$a $$ b$x$; "})[0]["body"] == "a $$ b"
    assert check("Function", {"body": "BEGIN END"})[0]["body"] == "BEGIN END"


def test_the_result_follows_from_the_out_arguments() -> None:
    def returns(*modes: str) -> str:
        arguments = [{"type": "text", "mode": mode} for mode in modes]
        result: str = check("Function", {"body": "x", "args": arguments})[0]["returns"]
        return result

    assert returns("IN") == "void"
    assert returns("IN", "OUT") == "text"
    assert returns("OUT", "INOUT") == "record"


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"awsRdsIamAuth": True}, "awsRdsIamAuth"),
        ({"scheme": "gcppostgres"}, "scheme"),
        ({"clientcert": {"cert": "a", "key": "b", "sslinline": True}}, "clientcert.sslinline"),
    ],
)
def test_what_the_plugin_cannot_do_is_refused_in_its_configuration(config: dict[str, Any], path: str) -> None:
    assert [failure.path for failure in PostgresqlProvider().check_config(config)] == [path]


def test_a_resource_which_is_not_served_is_named() -> None:
    with pytest.raises(ProviderError, match="postgresql:index/server:Server is not served by this local plugin"):
        BACKEND.handler("postgresql:index/server:Server")
