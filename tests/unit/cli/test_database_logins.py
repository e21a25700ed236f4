"""Which leases end before a run that removes databases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class Vault:
    """A Vault that notes what is asked of it, or refuses."""

    refusal: str | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def request(self, method: str, path: str, *, seconds: float) -> None:
        assert seconds == 60  # many leases take their time
        self.asked.append((method, path))
        if self.refusal:
            raise CommandError(self.refusal)

    def end(self, resources: list[dict[str, Any]], patterns: list[str], *forwarded: str) -> list[str]:
        """Return what is reported."""
        told: list[str] = []
        database_logins.end(resources, patterns, forwarded, lambda: self, told.append)  # type: ignore[arg-type,return-value]
        return told


def revoked(*apps: str) -> list[tuple[str, str]]:
    return [("PUT", f"sys/leases/revoke-prefix/postgres/creds/{app}") for app in apps]


def test_everything_that_goes_ends() -> None:
    vault = Vault()
    assert vault.end(STATE, ["*"]) == []
    assert vault.asked == revoked("shop", "books")


def test_an_application_taken_out_of_the_configuration_ends_alone() -> None:
    vault = Vault()
    vault.end(STATE, database_logins.leaving(STATE, "s", {"books": None}))
    assert vault.asked == revoked("shop")
    assert database_logins.leaving(STATE, "s", {"books": None, "shop": None}) == []


def test_nothing_ends_where_nothing_will_be_removed() -> None:
    vault = Vault()
    vault.end([*STATE, database("ledger", protect=True)], ["*"])
    vault.end(STATE, ["*"], "--target", "urn:pulumi:s::factory::anything::else")
    vault.end(STATE, [])
    assert vault.asked == []


def test_a_vault_that_refuses_is_reported_and_does_not_stop_the_run() -> None:
    told = Vault("Vault refuses with HTTP 403").end(STATE[:2], ["*"])
    assert told == ["the database logins of postgres/creds/shop were not ended: Vault refuses with HTTP 403"]
