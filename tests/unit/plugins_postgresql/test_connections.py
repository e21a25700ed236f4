"""What another session got between is done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

import psycopg
import pytest
from psycopg import errors

from tests.support.dead_ends import refusing, silent
from toolchain.plugins.kit import ProviderError
from toolchain.plugins.postgresql.connections import Address, NoDatabaseError, Server, again, explained

DeadEnd: TypeAlias = AbstractContextManager[int]


class _Work:
    """Fails so often, then succeeds."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return "done"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


def test_what_passes_is_done_again() -> None:
    work = _Work(3, errors.SerializationFailure())
    assert again(work) == "done"
    assert work.calls == 4


def test_what_does_not_pass_is_the_error_after_a_few_times() -> None:
    work = _Work(1000, errors.DeadlockDetected())
    with pytest.raises(errors.DeadlockDetected):
        again(work)
    assert 1 < work.calls < 20


@pytest.mark.parametrize("error", [errors.InsufficientPrivilege(), errors.InternalError_()])
def test_what_cannot_pass_is_tried_once(error: Exception) -> None:
    work = _Work(1, error)
    with pytest.raises(type(error)):
        again(work)
    assert work.calls == 1


def test_a_lost_connection_is_told_with_the_server() -> None:
    """A server that is killed says nothing; libpq's last line is the middle of a guess."""
    address = Address("db.example.test", 5432, "postgres", "p", "postgres", 10, {})
    words = "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n"
    with (
        pytest.raises(
            ProviderError, match=r"role x: .* db\.example\.test:5432 was lost: server closed .* unexpectedly$"
        ),
        explained("create role x", address),
    ):
        raise psycopg.OperationalError(f"{words}\tbefore or while processing the request.\n")
    with pytest.raises(ProviderError, match=r"^Cannot create role x: no NUL$"), explained("create role x", address):
        raise psycopg.DataError("no NUL")


@pytest.mark.parametrize(("dead_end", "seen"), [(refusing, "Connection refused"), (silent, "timeout")])
def test_a_server_that_is_not_there_has_no_database_to_miss(dead_end: Callable[[], DeadEnd], seen: str) -> None:
    """Else everything in the database would count as removed. One that answers no packet is waited for once."""
    with dead_end() as port:
        server = Server(Address("127.0.0.1", port, "postgres", "p", "postgres", 2, {"sslmode": "disable"}))
        with pytest.raises(ProviderError, match=rf"^PostgreSQL at 127\.0\.0\.1:{port} .*{seen}") as raised:
            server.rows("SELECT 1", {}, "webapp")
    assert not isinstance(raised.value, NoDatabaseError)
