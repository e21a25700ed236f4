"""Which leases end before a run that removes databases."""

from __future__ import annotations

from typing import Any

import pytest

from cli import database_logins
from cli.errors import CommandError

ROLE = "vault:database/secretBackendRole:SecretBackendRole"


def role(app: str) -> dict[str, Any]:
    urn = f"urn:pulumi:s::factory::factory:app:AppStack$factory:app:AppSecrets${ROLE}::{app}-database"
    return {"urn": urn, "type": ROLE, "inputs": {"name": app, "backend": "postgres"}}


def database(app: str, *, protect: bool) -> dict[str, Any]:
    kind = "postgresql:index/database:Database"
    urn = f"urn:pulumi:s::factory::factory:app:AppStack$factory:app:AppDatabase${kind}::{app}-database"
    return {"urn": urn, "type": kind, "inputs": {"name": app}, "protect": protect}


STATE = [role("shop"), database("shop", protect=False), role("books"), database("books", protect=False)]


@pytest.fixture
def revoked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    prefixes: list[str] = []
    monkeypatch.setattr(database_logins, "_revoke", lambda _vault, prefix: prefixes.append(prefix))
    return prefixes


def end(resources: list[dict[str, Any]], patterns: list[str], *forwarded: str) -> list[str]:
    told: list[str] = []
    database_logins.end(resources, patterns, forwarded, lambda: None, told.append)  # type: ignore[arg-type,return-value]
    return told


def test_everything_that_goes_ends(revoked: list[str]) -> None:
    assert end(STATE, ["*"]) == []
    assert revoked == ["postgres/creds/shop", "postgres/creds/books"]


def test_an_application_taken_out_of_the_configuration_ends_alone(revoked: list[str]) -> None:
    end(STATE, database_logins.leaving(STATE, "s", {"books": None}))
    assert revoked == ["postgres/creds/shop"]
    assert database_logins.leaving(STATE, "s", {"books": None, "shop": None}) == []


def test_nothing_ends_where_nothing_will_be_removed(revoked: list[str]) -> None:
    end([*STATE, database("ledger", protect=True)], ["*"])
    end(STATE, ["*"], "--target", "urn:pulumi:s::factory::anything::else")
    end(STATE, [])
    assert revoked == []


def test_a_vault_that_refuses_is_reported_and_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_vault: object, _prefix: str) -> None:
        raise CommandError("Vault refuses with HTTP 403")

    monkeypatch.setattr(database_logins, "_revoke", refuse)
    told = end(STATE[:2], ["*"])
    assert told == ["the database logins of postgres/creds/shop were not ended: Vault refuses with HTTP 403"]
