"""The life of a role through the real engine: create, no change, update, drift, adoption, removal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.host_state.conftest import Machine
from toolchain.plugins.factory_host.report import REPORT_VARIABLE

pytestmark = pytest.mark.engine

ODD = '/etc/app/a "quoted" näme.conf'
ROLE: dict[str, Any] = {
    "directories": {"/etc/app": {"mode": "0750"}},
    "files": {
        "/etc/app/plain.conf": {"content": "one\n"},
        ODD: {"content": "two\n", "mode": "0600"},
    },
    "links": {"/etc/app/link": {"target": "plain.conf"}},
    "steps": {"reload": {"run": ["sh", "-c", "echo x >>reloads"], "on_change": ["files:/etc/app/plain.conf"]}},
}


def role(**files: str) -> dict[str, Any]:
    """The role with other contents: `plain` and `odd`."""
    changed = {
        "/etc/app/plain.conf": {"content": files.get("plain", "one\n")},
        ODD: {"content": files.get("odd", "two\n"), "mode": "0600"},
    }
    return {**ROLE, "files": changed}


def test_a_life(machine: Machine) -> None:
    program, plain, odd = machine.program, machine.path("/etc/app/plain.conf"), machine.path(ODD)
    values = machine.values(base=role())
    program.up(**values)
    assert (plain.read_text(), odd.read_text(), oct(odd.stat().st_mode)[-3:]) == ("one\n", "two\n", "600")
    assert machine.path("/etc/app/link").readlink().name == "plain.conf"
    assert program.outputs()["base"]["files"]["names"] == ["/etc/app", ODD, "/etc/app/link", "/etc/app/plain.conf"]
    program.unchanged(**values)

    # One file changes: nothing else is touched but the step that follows it.
    before, reloads = machine.snapshot(), machine.path("reloads").read_text()
    values = machine.values(base=role(plain="other\n"))
    assert program.steps(**values) == {"base": ["update", 'desired.files["/etc/app/plain.conf"].content']}
    program.up(**values)
    touched = {name for name, state in machine.snapshot().items() if state != before.get(name)}
    assert touched == {"etc/app", "etc/app/plain.conf", "reloads"}
    assert machine.path("reloads").read_text() == reloads + "x\n"

    # Without its state the program finds everything as it should be.
    before = machine.snapshot()
    program.run("stack", "rm", "--force", "--yes")
    program.run("stack", "init", "dev")
    program.up(**values)
    assert machine.snapshot() == before

    # And owns none of it any more.
    program.run("destroy", "--yes", "--skip-preview", "--refresh")
    assert machine.snapshot() == before


def test_what_was_there_before_is_adopted_without_a_change_and_stays(machine: Machine) -> None:
    for name, text in (("/etc/app/plain.conf", "one\n"), ("/etc/app/foreign.conf", "not ours\n")):
        machine.path(name).parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        machine.path(name).write_text(text)
        machine.path(name).chmod(0o644)
    values = machine.values(
        base={"directories": ROLE["directories"], "files": {"/etc/app/plain.conf": {"content": "one\n"}}}
    )
    before = machine.snapshot()
    machine.program.up(**values)
    assert machine.snapshot() == before
    machine.program.unchanged(**values)
    more = machine.values(base=role())
    machine.program.up(**more)
    assert machine.path(ODD).exists()
    # What leaves the documents goes if the program made it; what was there before stays.
    machine.program.up(**machine.values(base={}))
    assert {name for name in machine.snapshot() if name.startswith("etc")} == set(before)
    machine.program.run("destroy", "--yes", "--skip-preview", "--refresh")
    assert {name for name in machine.snapshot() if name.startswith("etc")} == set(before)


def test_drift_is_shown_by_its_path_and_repaired(machine: Machine) -> None:
    values = machine.values(base=role())
    machine.program.up(**values)
    good = {name: content for name, (_, _, content) in machine.snapshot().items()}
    machine.path("/etc/app/plain.conf").write_text("edited by hand\n")
    machine.path(ODD).chmod(0o666)
    machine.path("/etc/app/link").unlink()
    quoted = ODD.replace('"', '\\"')
    assert machine.program.steps(**values) == {
        "base": [
            "update",
            f'desired.files["{quoted}"].mode',
            'desired.files["/etc/app/plain.conf"].content',
            'desired.links["/etc/app/link"]',
            "desired.steps.reload",
        ]
    }
    machine.program.run("refresh", "--yes", "--skip-preview", values=values)  # the state now says what is there
    shown = machine.program.run("preview", "--refresh", "--diff", values=values)
    assert "- edited by hand" in shown
    assert "+ one" in shown
    # What opens the machine is secret in the program and in the state alike: no difference.
    assert "credentials" not in machine.program.run("up", "--yes", "--refresh", values=values)
    repaired = {name: content for name, (_, _, content) in machine.snapshot().items()}
    assert repaired == {**good, "reloads": b"x\nx\n"}
    machine.program.unchanged(**values)


def test_two_roles_share_one_connection_and_cannot_claim_one_path(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = machine.values(
        one={"files": {"/etc/one": {"content": "1"}}}, two={"files": {"/etc/two": {"content": "2"}}}
    )
    before = machine.server_log.read_text().count("Accepted publickey")
    monkeypatch.setenv(REPORT_VARIABLE, str(tmp_path / "report"))
    machine.program.up(**values)
    # What the command line's table is made of arrives from within the engine's plugin.
    told = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert {(each["role"], *each["items"]["files"]) for each in told} == {("one", "/etc/one"), ("two", "/etc/two")}
    assert machine.server_log.read_text().count("Accepted publickey") - before == 1
    assert machine.path("/etc/two").read_text() == "2"
    contested = machine.values(
        one={"files": {"/etc/one": {"content": "1"}}}, two={"files": {"/etc/one": {"content": "2"}}}
    )
    printed = machine.failing("preview", values=contested)
    assert 'desired.files["/etc/one"]' in printed
    assert "is also claimed by the resource" in printed
    assert machine.path("/etc/two").read_text() == "2"
    # A path that moves from one role to another is not removed by the one that gives it up.
    moved = machine.values(one={"files": {"/etc/two": {"content": "2"}}}, two={"files": {"/etc/one": {"content": "1"}}})
    machine.program.up(**moved)
    assert (machine.path("/etc/one").read_text(), machine.path("/etc/two").read_text()) == ("1", "2")
    machine.program.unchanged(**moved)


def test_all_mistakes_are_told_at_once(machine: Machine) -> None:
    wrong = machine.values(base=role())
    wrong["host"] = {**wrong["host"], "python": "python3.0"}
    printed = machine.failing("up", "--yes", "--skip-preview", values=wrong)
    assert f"127.0.0.1:{wrong['host']['port']} has no python3.0: install it, or set `python` to where it is" in printed
    assert json.loads(machine.program.state())["deployment"].get("pending_operations") is None
