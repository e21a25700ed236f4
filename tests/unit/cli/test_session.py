"""Where a state lies is decided once: the engine, the guards and the healing go by the same backend."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

import cli.session
from cli import healing
from cli.errors import InputError
from cli.guards import refuse_unsafe
from cli.session import PUBLIC_SANDBOX_PASSPHRASE, Session, file_backend, open_session
from cli.stack import Stack, load
from stacks.settings.schema import Settings
from tests.unit.cli.conftest import CommandLine
from toolchain.engine_home import EngineHome, PluginSet
from toolchain.paths import ROOT

SANDBOX_STATE = "s3://site-sandbox"
PRODUCTION = "config:\n  factory:environment: prod\n"
SANDBOX = f"""\
config:
  factory:environment: sandbox
  factory:sandbox:
    mode: vms
    state_url: {SANDBOX_STATE}
    target_revision: sandbox
"""
EMBEDDED = "config:\n  factory:environment: sandbox\n  factory:backends: embedded\n"


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is there already, and a folder for what `pulumi login` notes."""
    monkeypatch.setattr("toolchain.ensure", lambda *_: {})
    monkeypatch.setattr(cli.session, "tools", lambda **_: [])
    monkeypatch.setattr(cli.session, "prepare", lambda **_: EngineHome(Path("pulumi"), PluginSet.LOCAL, {}))
    monkeypatch.setenv("FACTORY_STATE", str(tmp_path / "state"))


def log_in(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "credentials.json").write_text(json.dumps({"current": url}))
    monkeypatch.setenv("PULUMI_HOME", str(folder))


def opened(factory: CommandLine, content: str) -> Session:
    (factory.root / "Pulumi.site.yaml").write_text(content)
    return open_session(load("site"), print, start_backends=False)


def session_at(url: str) -> Session:
    stack = Stack("site", Path("Pulumi.site.yaml"), "prod", embedded=False, config={})
    return Session(stack, EngineHome(Path("pulumi"), PluginSet.OFFICIAL, {}), {"PULUMI_BACKEND_URL": url})


def test_production_is_where_its_operator_logged_in(
    factory: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="nothing says where the state of stack 'site' is"):
        opened(factory, PRODUCTION)
    log_in("file:///srv/states", monkeypatch, tmp_path)
    session = opened(factory, PRODUCTION)
    assert session.exports["PULUMI_BACKEND_URL"] == session.backend == "file:///srv/states"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    assert opened(factory, PRODUCTION).backend == "s3://states"


def test_the_token_goes_to_no_agent_of_the_shell(factory: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """POL-33: the provider's address is the only one."""
    monkeypatch.setenv("VAULT_AGENT_ADDR", "http://elsewhere.example.test:8100")
    assert opened(factory, EMBEDDED).environment["VAULT_AGENT_ADDR"] == ""


def test_a_killed_run_is_healed_after_a_login(
    factory: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = tmp_path / "states of the site"
    lock = states / ".pulumi/locks/organization/factory/site/cut-off.json"
    lock.parent.mkdir(parents=True)
    lock.touch()
    log_in(f"file://{states}", monkeypatch, tmp_path)
    said: list[str] = []
    healing.clear_dead_run(opened(factory, PRODUCTION), said.append)
    assert said == ["clearing the lock of a dead run (process unknown)"]
    assert not lock.exists()


@pytest.mark.parametrize("by_login", [True, False])
def test_production_in_a_sandboxs_backend_is_refused_however_it_was_chosen(
    factory: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_login: bool
) -> None:
    """POL-10; another backend is allowed."""
    settings = Settings.model_construct(environment="prod")

    def choose(url: str) -> Session:
        if by_login:
            log_in(url, monkeypatch, tmp_path)
        else:
            monkeypatch.setenv("PULUMI_BACKEND_URL", url)
        return opened(factory, PRODUCTION)

    with pytest.raises(InputError, match=r"production's state in a sandbox backend \(POL-10\)"):
        refuse_unsafe(choose(SANDBOX_STATE), settings)
    refuse_unsafe(choose("s3://site-states"), settings)


def test_a_sandbox_has_its_own_backend_wherever_its_operator_is_logged_in(
    factory: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POL-10, SBX-08; the variable is a choice for this run, and refused by the guards."""
    log_in("s3://site-states", monkeypatch, tmp_path)
    assert opened(factory, SANDBOX).backend == SANDBOX_STATE
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://elsewhere")
    assert opened(factory, SANDBOX).backend == "s3://elsewhere"


def test_an_embedded_sandbox_keeps_its_state_beside_its_backends(
    factory: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in("s3://site-states", monkeypatch, tmp_path)
    for name in cli.session.PASSPHRASE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    session = opened(factory, EMBEDDED)
    assert file_backend(session) == tmp_path / "state/backend"
    assert session.exports["PULUMI_CONFIG_PASSPHRASE"] == PUBLIC_SANDBOX_PASSPHRASE


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///srv/states", "/srv/states"),
        ("file:///srv/states?no_tmp_dir=true", "/srv/states"),
        ("file:///srv/my%20states/caf%C3%A9", "/srv/my states/café"),
        ("file:///srv/my states/café", "/srv/my states/café"),
        ("file:///srv/100%25", "/srv/100%"),
        ("file://states", str(ROOT / "states")),
        ("file://~", pwd.getpwuid(os.getuid()).pw_dir),
        ("file://~/states", f"{pwd.getpwuid(os.getuid()).pw_dir}/states"),
        ("s3://states", None),
        ("https://api.pulumi.com", None),
    ],
)
def test_the_folder_of_a_backend_is_the_one_that_the_engine_takes(
    monkeypatch: pytest.MonkeyPatch, url: str, folder: str | None
) -> None:
    monkeypatch.setenv("HOME", "/another/home")  # the engine takes the account's
    assert file_backend(session_at(url)) == (Path(folder) if folder else None)


@pytest.mark.parametrize("name", ["my states", "café", "100%", "a#b", "a?b", "~"])
def test_a_folder_is_found_by_the_url_that_names_it(tmp_path: Path, name: str) -> None:
    assert file_backend(session_at((tmp_path / name).as_uri())) == tmp_path / name


def test_the_engines_own_choice_is_the_projects_then_the_logins(
    factory: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in("file:///old", monkeypatch, tmp_path)
    credentials = tmp_path / "elsewhere"
    credentials.mkdir()
    (credentials / "credentials.json").write_text(json.dumps({"current": "s3://states"}))
    monkeypatch.setenv("PULUMI_CREDENTIALS_PATH", str(credentials))
    assert opened(factory, PRODUCTION).backend == "s3://states"
    with (factory.root / "Pulumi.yaml").open("a", encoding="utf-8") as project:
        project.write("backend: {url: gs://states}\n")
    assert opened(factory, PRODUCTION).backend == "gs://states"
