"""Inputs against the types of the installed official SDKs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from toolchain.plugins.kit import UNKNOWN, Asset, InputTypes

POSTGRESQL = InputTypes("pulumi_postgresql")
COMMAND = InputTypes("pulumi_command")
KUBERNETES = InputTypes("pulumi_kubernetes")
ROLE = "postgresql:index/role:Role"
COPY = "command:remote:CopyToRemote"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"


def deployment(**container: Any) -> dict[str, Any]:
    pod = {"spec": {"containers": [{"name": "web", **container}]}}
    return {"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"selector": {}, "template": pod}}


@pytest.mark.parametrize(
    ("types", "token", "inputs"),
    [
        (POSTGRESQL, ROLE, {}),
        (POSTGRESQL, ROLE, {"name": "x", "login": True, "roles": ["a"], "connectionLimit": 3}),
        (POSTGRESQL, ROLE, {"name": UNKNOWN, "login": UNKNOWN, "roles": UNKNOWN, "password": None}),
        (COMMAND, COPY, {"connection": {"host": "h", "port": 22}, "remotePath": "/x", "source": Asset(text="x")}),
        (COMMAND, "command:local:Command", {"logging": "none", "triggers": [1, {"any": "thing"}]}),
        (KUBERNETES, DEPLOYMENT, deployment(livenessProbe={"httpGet": {"port": "http"}})),
        (KUBERNETES, DEPLOYMENT, deployment(livenessProbe={"httpGet": {"port": 8080}}, env=UNKNOWN)),
    ],
)
def test_good_inputs_have_no_failures(types: InputTypes, token: str, inputs: dict[str, Any]) -> None:
    assert types.resource(token, inputs) == []


@pytest.mark.parametrize(
    ("types", "token", "inputs", "path", "reason"),
    [
        (POSTGRESQL, ROLE, {"lgin": True}, "lgin", f"{ROLE} has no property lgin (did you mean login?)"),
        (POSTGRESQL, ROLE, {"login": "yes"}, "login", f"{ROLE} wants a boolean for login, not a string"),
        (
            POSTGRESQL,
            ROLE,
            {"connectionLimit": True},
            "connectionLimit",
            "a whole number for connectionLimit, not a bool",
        ),
        (POSTGRESQL, ROLE, {"connectionLimit": 1.5}, "connectionLimit", "not a number"),
        (POSTGRESQL, ROLE, {"roles": ["a", 1]}, "roles[1]", "wants a string for roles[1], not a whole number"),
        (POSTGRESQL, ROLE, {"roles": "a"}, "roles", "wants a list for roles, not a string"),
        (POSTGRESQL, "postgresql:index/roel:Role", {}, "", f"did you mean {ROLE}?"),
        (POSTGRESQL, "postgresql:index/grantRole:GrantRole", {"role": "a"}, "grantRole", "needs a value for grantRole"),
        (COMMAND, COPY, {"connection": {}, "remotePath": "", "source": Asset(text="")}, "connection.host", "needs"),
        (COMMAND, COPY, {"connection": {"host": "h"}, "remotePath": "", "source": "x"}, "source", "not a string"),
        (COMMAND, "command:local:Command", {"logging": "loud"}, "logging", "'stdout' or 'stderr'"),
        (KUBERNETES, DEPLOYMENT, deployment(imag="x"), "spec.template.spec.containers[0].imag", "did you mean image?"),
        (
            KUBERNETES,
            DEPLOYMENT,
            deployment(env=[{"name": "A", "value": 1}]),
            "spec.template.spec.containers[0].env[0].value",
            "",
        ),
        (KUBERNETES, DEPLOYMENT, {**deployment(), "kind": "Pod"}, "kind", "wants 'Deployment'"),
    ],
)
def test_bad_inputs_are_named(types: InputTypes, token: str, inputs: dict[str, Any], path: str, reason: str) -> None:
    failures = types.resource(token, inputs)
    assert [failure.path for failure in failures] == [path]
    assert reason in failures[0].reason


def test_all_failures_come_at_once_and_hold_no_value() -> None:
    failures = POSTGRESQL.resource(ROLE, {"lgin": "secret", "superuser": "secret", "roles": "secret"})
    assert [failure.path for failure in failures] == ["lgin", "superuser", "roles"]
    assert "secret" not in str(failures)


def test_functions_are_checked_like_resources() -> None:
    assert COMMAND.function("command:local:run", {"command": "x", "environment": {"A": "b"}}) == []
    assert [each.path for each in COMMAND.function("command:local:run", {"environment": {"A": 1}})] == ["environment.A"]
    assert COMMAND.function("command:local:walk", {})[0].reason == "pulumi_command has no function command:local:walk"


def test_configuration_comes_as_json_text() -> None:
    sent = {"host": "127.0.0.1", "port": "5432", "superuser": "false", "expectedVersion": "16"}
    config = POSTGRESQL.parse_config(sent)
    assert config == {"host": "127.0.0.1", "port": 5432, "superuser": False, "expectedVersion": "16"}
    assert POSTGRESQL.config(config) == []
    assert [each.path for each in POSTGRESQL.config(POSTGRESQL.parse_config({"port": "many", "hots": "x"}))] == [
        "port",
        "hots",
    ]


def test_what_was_read_of_an_sdk_is_kept_and_the_sdk_not_imported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path))
    wrong = {"lgin": True, "roles": ["a", 1]}
    first = InputTypes("pulumi_postgresql").resource(ROLE, wrong)
    later = InputTypes("pulumi_postgresql")
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(f"{name} is imported"))
    assert later.resource(ROLE, wrong) == first
    assert [failure.path for failure in first] == ["lgin", "roles[1]"]


def test_a_kept_type_that_was_cut_off_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path))
    assert InputTypes("pulumi_postgresql").resource(ROLE, {}) == []
    (kept,) = tmp_path.rglob("*.json")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert InputTypes("pulumi_postgresql").resource(ROLE, {"lgin": True})
    assert kept.read_bytes() == whole


def test_without_a_place_for_them_types_are_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path / "file"))
    assert InputTypes("pulumi_postgresql").resource(ROLE, {"lgin": True})
