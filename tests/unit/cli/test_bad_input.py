"""Bad input ends with status 2, names the mistake and what to do, and changes nothing: no process is even started."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.unit.cli.conftest import CommandLine
from toolchain.paths import ROOT

REJECTED = ROOT / "tests/fixtures/settings/reject"

MISTAKES = {
    "malformed-yaml": ("Pulumi.site.yaml:3:1", "malformed YAML", "Correct the notation"),
    "unknown-key-in-an-application": ("factory:apps.webapp.workload.replcas", "unknown key", "Did you mean `replicas`"),
    "duplicate-application": ("factory:apps.webapp", "duplicate key", "Keep one of the two"),
    "application-name-is-no-dns-label": ("factory:apps.My_App", "NAME-21", "Use lower-case letters"),
    "derived-name-too-long": ("the derived owner role", "holds 63", "Choose a shorter application name"),
    "application-name-reserved": ("factory:apps.postgres", "reserved", "Choose another name"),
    "two-applications-with-one-host": ("factory:apps.shop", "webapp.office.example.test", "Give 'shop' another"),
    "missing-secret": ("factory:secrets.webapp.API_KEY", "missing secret", "pulumi site -- config set --secret --path"),
    "environment-missing": ("factory:environment", "", ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", ["config validate", "up", "preview", "destroy", "env"])
def test_a_wrong_stack_file(factory: CommandLine, mistake: str, command: str) -> None:
    shutil.copy(REJECTED / mistake / "Pulumi.site.yaml", factory.root)
    before = factory.files()
    file = [str(factory.root / "Pulumi.site.yaml")] if command == "config validate" else ["--stack", "site", "--yes"]
    file = file[:2] if command in {"preview", "env"} else file
    outcome = factory(*command.split(), *file)
    assert outcome.status == 2
    message = outcome.out + outcome.err
    for fact in MISTAKES[mistake]:
        assert fact in message
    assert "Traceback" not in message
    assert factory.files() == before


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"[" * 3000, b"a: !!timestamp x", b"a: " + b"9" * 5000, b"? {a: b}\n: c", b"a: \x01", b"a: &x [*x]"],
)
def test_a_file_that_no_reader_gets_through(factory: CommandLine, content: bytes) -> None:
    (factory.root / "Pulumi.site.yaml").write_bytes(content)
    outcome = factory("up", "--stack", "site")
    assert (outcome.status, outcome.out) == (2, "")
    assert "Pulumi.site.yaml" in outcome.err


def test_something_else_in_the_place_of_a_stack_file(factory: CommandLine) -> None:
    file = factory.root / "Pulumi.site.yaml"
    file.mkdir()
    assert "Pulumi.site.yaml is no file" in factory("up", "--stack", "site").err
    file.rmdir()
    file.symlink_to("nowhere")
    outcome = factory("status", "--stack", "site")
    assert outcome.status == 2
    assert "a link that leads nowhere" in outcome.err


def test_every_problem_is_listed_as_json(factory: CommandLine) -> None:
    shutil.copy(REJECTED / "many-mistakes-at-once/Pulumi.site.yaml", factory.root)
    outcome = factory("config", "validate", "--json", str(factory.root / "Pulumi.site.yaml"))
    problems = json.loads(outcome.out)
    assert outcome.status == 2
    assert len(problems) > 2
    assert all(problem["rule"] and problem["path"] for problem in problems)


def test_a_file_that_is_not_there(factory: CommandLine) -> None:
    outcome = factory("config", "validate", "Pulumi.nope.yaml")
    assert (outcome.status, outcome.err) == (2, "factory: Pulumi.nope.yaml: there is no such file\n")
    outcome = factory("config", "validate", str(factory.root))
    assert (outcome.status, outcome.err) == (
        2,
        f"factory: {factory.root}: that is no file; name the stack files in it\n",
    )


def test_a_mistyped_stack(factory: CommandLine) -> None:
    (factory.root / "Pulumi.sandbox.yaml").touch()
    outcome = factory("status", "--stack", "sandbx")
    assert outcome.status == 2
    assert "did you mean 'sandbox'?" in outcome.err


@pytest.mark.parametrize("name", ["../evil", "a b", "", "-x", "x" * 101])
def test_a_stack_name_that_is_none_writes_no_file(factory: CommandLine, name: str) -> None:
    outcome = factory("init", "--", name)
    assert outcome.status == 2
    assert "is not a stack name: at most 100 of" in outcome.err
    assert list(factory.root.glob("Pulumi.*.yaml")) == []


@pytest.mark.parametrize("command", [["statsu"], ["up", "--stack"], ["adopt"], ["pulumi"], ["config", "validat"]])
def test_a_mistyped_command(factory: CommandLine, command: list[str]) -> None:
    outcome = factory(*command)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err


def test_an_unknown_section_is_refused_before_anything_starts(factory: CommandLine) -> None:
    shutil.copy(ROOT / "Pulumi.sandbox.yaml", factory.root)
    shutil.copy(ROOT / "Pulumi.lab.yaml", factory.root)
    outcome = factory("up", "--only", "apps.webap")
    assert outcome.status == 2
    assert "webapp" in outcome.err


@pytest.mark.parametrize("command", ["up", "preview"])
def test_a_section_that_the_stack_does_not_have_is_refused_before_anything_starts(
    factory: CommandLine, command: str
) -> None:
    shutil.copy(ROOT / "Pulumi.sandbox.yaml", factory.root)
    outcome = factory(command, "--only", "cm5_gateway")
    assert outcome.status == 2
    assert "stack 'sandbox' has no section cm5_gateway" in outcome.err
    assert "Pulumi.sandbox.yaml" in outcome.err


def test_a_name_that_is_not_ascii_is_shown_as_it_was_typed(factory: CommandLine) -> None:
    shutil.copy(ROOT / "Pulumi.sandbox.yaml", factory.root)
    shutil.copy(ROOT / "Pulumi.lab.yaml", factory.root)
    assert 'factory:apps["café"]: no such application' in factory("preview", "--only", "apps.café").err


@pytest.mark.parametrize("section", ["", ".", "apps.", "vault_foundation.x"])
def test_a_section_that_is_none_is_no_problem_of_the_file(factory: CommandLine, section: str) -> None:
    shutil.copy(ROOT / "Pulumi.sandbox.yaml", factory.root)
    shutil.copy(ROOT / "Pulumi.lab.yaml", factory.root)
    outcome = factory("preview", "--only", section)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"factory: {section!r}: no such section. ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "'nope': no such section"),
        (["apps.webapp", "--file", "."], "--file .: no file can be written there"),
        (["apps.webapp", "--file", "no-folder/adopt.json"], "--file no-folder/adopt.json: no file can be written"),
    ],
)
def test_an_adoption_is_refused_before_anything_starts(factory: CommandLine, arguments: list[str], said: str) -> None:
    shutil.copy(ROOT / "Pulumi.sandbox.yaml", factory.root)
    shutil.copy(ROOT / "Pulumi.lab.yaml", factory.root)
    outcome = factory("adopt", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"factory: {said}")


def test_an_empty_stack_is_not_the_sandbox(factory: CommandLine) -> None:
    (factory.root / "Pulumi.sandbox.yaml").touch()
    outcome = factory("status", "--stack", "")
    assert (outcome.status, outcome.out) == (2, "")
    assert "'' is not a stack name" in outcome.err


@pytest.mark.parametrize("command", ["up", "preview", "destroy"])
def test_a_word_is_not_given_to_the_engine(factory: CommandLine, command: str) -> None:
    """It would take it for a template's name, and look for that on the net."""
    outcome = factory(command, "lab")
    assert (outcome.status, outcome.out) == (2, "")
    assert "--stack lab" in outcome.err


@pytest.mark.parametrize("address", ["", " ", "-oProxyCommand=id", "a" * 64, "a..example.test", "\udcff.example.test"])
def test_an_address_that_is_none(factory: CommandLine, address: str) -> None:
    outcome = factory("host-key", "scan", "--", address)
    assert (outcome.status, outcome.out) == (2, "")
    assert f"{address!r} is no address" in outcome.err


def test_a_reset_that_nobody_confirms(factory: CommandLine) -> None:
    kept = factory.state / "backend/state.json"
    kept.parent.mkdir(parents=True)
    kept.touch()
    outcome = factory("sandbox", "reset")
    assert outcome.status == 2
    assert "--yes" in outcome.err
    assert kept.exists()


def test_a_stack_without_a_state_backend(factory: CommandLine) -> None:
    shutil.copy(ROOT / "tests/fixtures/settings/accept/nothing-to-build/Pulumi.site.yaml", factory.root)
    outcome = factory("outputs", "--stack", "site")
    assert outcome.status == 2
    assert "pulumi login" in outcome.err


def test_init_writes_a_file_once_beside_the_others_wherever_it_is_called(
    factory: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert factory("init", "home").status == 0
    file = factory.root / "Pulumi.home.yaml"
    written = file.read_text()
    assert "# " in written
    again = factory("init", "home")
    assert again.status == 2
    assert "exists already" in again.err
    assert file.read_text() == written
    blanks = factory("config", "validate", str(file))
    assert blanks.status == 2
    assert "still to be filled in" in blanks.out


def test_a_full_disk(factory: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/state")

    monkeypatch.setattr(os, "open", full)
    outcome = factory("init", "home")
    assert outcome.status == 1
    assert outcome.err.startswith("factory: /data/state: No space left on device; free some space")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "make it accessible for the user who runs this"),
        (errno.EROFS, "make it accessible for the user who runs this"),
        (errno.EISDIR, "move away what lies in its place"),
        (errno.ENOTDIR, "move away what lies in its place"),
        (errno.ENAMETOOLONG, "name a shorter one"),
    ],
)
def test_what_the_system_refuses_comes_with_what_to_do(
    factory: CommandLine, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refused(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number), "/data/state")

    monkeypatch.setattr(os, "open", refused)
    assert factory("init", "home").err.startswith(f"factory: /data/state: {os.strerror(number)}; {advice}")


def test_a_copy_onto_a_full_disk_names_where_it_was_to_be(
    factory: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/cache/tool", None, "/state/tool")

    monkeypatch.setattr(os, "open", full)
    assert factory("init", "home").err.startswith("factory: /state/tool: No space left on device; ")


def test_a_state_directory_that_cannot_be_made(factory: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "Pulumi.sandbox.yaml", factory.root)
    blocked = factory.root / "a-file"
    blocked.touch()
    monkeypatch.setenv("FACTORY_STATE", str(blocked / "state"))
    outcome = factory("sandbox", "status")
    assert outcome.status == 1
    assert "set FACTORY_CACHE and FACTORY_STATE elsewhere" in outcome.err


@pytest.mark.parametrize("command", ["up", "preview", "destroy"])
def test_two_sections_at_once(factory: CommandLine, command: str) -> None:
    """The last would silently be the only one."""
    (factory.root / "Pulumi.sandbox.yaml").touch()
    outcome = factory(command, "--only", "hosts", "--only", "apps")
    assert (outcome.status, outcome.out) == (2, "")
    assert "--only is given 2 times (hosts, apps)" in outcome.err
