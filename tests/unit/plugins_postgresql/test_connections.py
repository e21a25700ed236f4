"""What another session got between is done again."""

from __future__ import annotations

import time

import pytest
from psycopg import errors

from toolchain.plugins.postgresql.connections import again


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
