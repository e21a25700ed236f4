"""A database that was backed up when it was decommissioned is backed up once more before it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli import last_backups, state_edit
from cli.errors import CommandError
from cli.session import Session
from cli.stack import Stack
from toolchain.engine_home import EngineHome, PluginSet

APP = "urn:pulumi:s::factory::factory:app:AppStack"
KIND = "command:local:Command"
BACKUP = f"{APP}$factory:app:AppDatabase$factory:app:DatabaseBackup${KIND}::shop-backup"
OTHER = f"{APP}$factory:app:AppSecrets$factory:app:ConfigBackup${KIND}::shop-config-backup"
SECRET = "4dabf18193072939515e22adb298388d"


CREATE = 'printf %s "$PASSWORD" >"$PLACE/dump" && test ! -e "$PLACE/broken" && printf %s "$PLACE/dump"'
STATE = [{"urn": BACKUP, "type": KIND}, {"urn": OTHER, "type": KIND}]


def marked(value: object) -> dict[str, str]:
    """A secret, as the engine exports it in clear."""
    return {SECRET: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(value)}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    stack = Stack("s", tmp_path / "Pulumi.s.yaml", "prod", embedded=False, config={})
    return Session(stack, EngineHome(tmp_path / "pulumi", PluginSet.OFFICIAL, {}), {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """How the state was asked for: with its secrets, it has the backup's environment."""
    seen: list[tuple[str, ...]] = []

    def read(_session: Session, *options: str) -> dict[str, Any]:
        seen.append(options)
        environment = {"PLACE": str(tmp_path), "PASSWORD": marked("pass word")}
        inputs = {"create": CREATE, "environment": environment}
        return {"deployment": {"resources": [{"urn": BACKUP, "type": KIND, "inputs": inputs}]}}

    monkeypatch.setattr(state_edit, "read", read)
    return seen


def test_the_backup_is_repeated_with_its_environment(
    session: Session, asked: list[tuple[str, ...]], tmp_path: Path
) -> None:
    lines: list[str] = []
    last_backups.take(session, STATE, ["**factory:app:AppStack$**::shop*"], [], lines.append)
    assert asked == [("--show-secrets",)]
    assert (tmp_path / "dump").read_text() == "pass word"
    assert lines == [f"shop-backup: backed up once more, as {tmp_path / 'dump'}"]


def test_a_backup_that_fails_ends_the_run_and_says_the_way_out(
    session: Session, asked: list[tuple[str, ...]], tmp_path: Path
) -> None:
    assert asked == []
    (tmp_path / "broken").touch()
    with pytest.raises(CommandError, match="nothing was removed: exit status 1") as error:
        last_backups.take(session, STATE, ["*"], [], print)
    assert f"./factory pulumi s -- state delete '{BACKUP}'" in str(error.value)
    assert "pass word" not in str(error.value)


def test_nothing_is_asked_where_nothing_was_backed_up(session: Session, asked: list[tuple[str, ...]]) -> None:
    last_backups.take(session, [STATE[1]], ["*"], [], print)
    last_backups.take(session, STATE, ["**::books*"], [], print)
    last_backups.take(session, STATE, ["*"], ["--target", "urn:pulumi:s::factory::anything::else"], print)
    assert asked == []


def test_an_environment_that_is_secret_as_a_whole_is_read() -> None:
    assert last_backups._clear(marked({"A": marked("b"), "C": "d"})) == {"A": "b", "C": "d"}
