"""What a run changes on hosts, as the command line shows it at the end, and the keys of a machine."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from cli.errors import CommandError, InputError
from cli.hosts import scan, shown_changes
from components.host.summary import changes
from toolchain.plugins.factory_host.report import REPORT_VARIABLE, report

ACTIONS = [{"item": "files:/etc/a", "do": "create"}, {"item": "units:x.service", "do": "restart"}]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"


def shown(
    arguments: list[str], file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What is printed at the end of a run whose plugin reports two roles, one of them twice."""
    with shown_changes(arguments, file) as variables:
        monkeypatch.setenv(REPORT_VARIABLE, variables[REPORT_VARIABLE])
        report(changes("b.example.test", "web", ACTIONS[:1]))
        report(changes("b.example.test", "web", ACTIONS))
        report(changes("a.example.test", "base", []))
        assert file.stat().st_mode & 0o777 == 0o600
    return capsys.readouterr().out.splitlines()


def test_without_room_for_the_report_a_role_is_done_anyway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for full in ("/dev/full", str(tmp_path / "gone" / "report")):
        monkeypatch.setenv(REPORT_VARIABLE, full)
        report(changes("b.example.test", "web", ACTIONS))


def test_a_run_ends_with_a_line_for_each_role_that_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(["preview", "--refresh"], tmp_path / "changes", capsys, monkeypatch)
    assert [line.split()[:3] for line in lines] == [["host", "role", "files"], ["b.example.test", "web", "1"]]
    assert lines[1].endswith("restart x.service")


def test_a_line_that_a_full_disk_cut_off_is_told_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "changes"
    with shown_changes(["up"], file) as variables:
        monkeypatch.setenv(REPORT_VARIABLE, variables[REPORT_VARIABLE])
        report(changes("b.example.test", "web", ACTIONS))
        with file.open("ab") as notes:
            notes.write(b'{"host": "caf\xc3')
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["host", "b.example.test"]
    assert f"{file} was not written to its end" in printed.err


def test_a_result_in_json_stays_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(["preview", "--json"], tmp_path / "changes", capsys, monkeypatch) == []


def test_a_run_without_hosts_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shown_changes(["up"], tmp_path / "changes"):
        pass
    assert capsys.readouterr().out == ""


def test_a_report_that_nobody_asked_for_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REPORT_VARIABLE, raising=False)
    report(changes("a.example.test", "base", ACTIONS))


def test_a_scan_prints_keys_to_pin_and_fingerprints_to_compare(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(_address: str, **_options: object) -> list[str]:
        return [KEY]

    monkeypatch.setattr("components.host.transport_ssh.scan_host_keys", found)
    scan("node.example.test", None)
    printed = capsys.readouterr()
    assert printed.out == f"{KEY}\n"
    assert asyncssh.import_public_key(KEY).get_fingerprint() in printed.err


def test_a_scan_refuses_what_is_no_port_and_names_a_host_that_does_not_answer() -> None:
    with pytest.raises(InputError, match="--port 70000 is no TCP port"):
        scan("node.example.test", 70000)
    with pytest.raises(CommandError, match=r"cannot reach 127\.0\.0\.1: Connection refused"):
        scan("127.0.0.1", 9)
