"""APP-26: the checklist is data, and follows the declaration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.app_stack import App
from components.app_stack.checks import as_data, checklist
from tests.support.site import DATABASE_ONLY, application, platform


@pytest.mark.parametrize(
    ("overrides", "ids"),
    [
        ({}, ["PG-05", "PG-34", "VAULT-12", "APP-24", "NAME-13", "APP-22", "APP-21", "APP-23", "APP-23"]),
        (
            {"delivery": "argocd", "image": {}, "exposure": ["internal"]},
            ["PG-05", "PG-34", "VAULT-12", "APP-24", "NAME-13", "APP-22", "APP-20", "APP-21", "APP-23"],
        ),
        (DATABASE_ONLY, ["PG-05", "PG-34", "VAULT-12", "APP-24"]),
        (
            {"mode": "application-only", "database": {}, "vault": {}, "exposure": ["internal"]},
            ["NAME-13", "APP-21", "APP-23"],
        ),
    ],
)
def test_checks_follow_the_declaration_in_order(overrides: dict[str, Any], ids: list[str]) -> None:
    checks = checklist(App.of("webapp", application(**overrides), platform()))
    assert [check.id for check in checks] == ids
    assert all(check.command and check.expected and check.likely_cause for check in checks)


def test_checks_are_plain_values() -> None:
    data = as_data(checklist(App.of("webapp", application(), platform())))
    assert json.loads(json.dumps(data)) == data
