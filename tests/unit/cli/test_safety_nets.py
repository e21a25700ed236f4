"""What stands between a slip of the hand and lost data: the question before a change, and the copy of the state."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from cli import confirmation, state_copies
from cli.errors import InputError


@pytest.mark.parametrize(("typed", "goes_on"), [("home", True), (" home ", True), ("yes", False), ("", False)])
def test_only_the_stack_s_own_name_goes_on(monkeypatch: pytest.MonkeyPatch, typed: str, goes_on: bool) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: typed)
    assert confirmation.confirmed("home", "Destroy everything?") is goes_on


def test_without_a_terminal_nobody_has_said_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(InputError, match="give --yes"):
        confirmation.confirmed("home", "Destroy everything?")


def test_the_last_ten_states_are_kept_for_their_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_copies, "state_dir", lambda: tmp_path)
    copies = [state_copies.keep("home", {"version": number}) for number in range(12)]
    left = sorted((tmp_path / "state-copies" / "home").iterdir())
    assert left == copies[2:]
    assert [json.loads(copy.read_bytes()) for copy in left] == [{"version": number} for number in range(2, 12)]
    assert {stat.S_IMODE(copy.stat().st_mode) for copy in left} == {0o600}
