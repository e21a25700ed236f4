"""The SSH server for the tests: installed by root, only named otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolchain import debian_packages

APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >>{log}
{then}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose PATH holds a recording `apt-get` that installs an `sshd`, and no other folder of programs."""
    monkeypatch.setattr(debian_packages, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    install(
        tmp_path, f'case "$*" in *openssh-server) printf "" >{tmp_path}/sshd; /bin/chmod 755 {tmp_path}/sshd;; esac'
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, then: str) -> None:
    (folder / "apt-get").write_text(APT.format(log=folder / "log", then=then))
    (folder / "apt-get").chmod(0o755)


def test_root_installs_it_without_questions(machine: Path) -> None:
    lines: list[str] = []
    assert debian_packages.provide_ssh_server(lines.append)
    assert (machine / "log").read_text().splitlines() == [
        "noninteractive update -qq",
        "noninteractive install -y -qq --no-install-recommends openssh-server",
    ]
    assert lines == ["installing Debian's openssh-server, for what runs over SSH"]


def test_it_is_not_installed_twice(machine: Path) -> None:
    (machine / "sshd").touch(mode=0o755)
    assert debian_packages.provide_ssh_server(pytest.fail)
    assert not (machine / "log").exists()


def test_others_are_told_what_is_missing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    lines: list[str] = []
    assert not debian_packages.provide_ssh_server(lines.append)
    assert "root installs openssh-server" in lines[0]
    assert not (machine / "log").exists()


def test_a_failed_installation_is_explained_and_stops_nothing(machine: Path) -> None:
    install(machine, "echo 'E: no network' >&2; exit 100")
    lines: list[str] = []
    assert not debian_packages.provide_ssh_server(lines.append)
    assert "apt-get update failed (E: no network)" in lines[-1]


def test_test_machines_take_only_what_is_missing(machine: Path) -> None:
    for name in debian_packages.TEST_MACHINES:
        (machine / name).touch(mode=0o755)
    assert debian_packages.provide_test_machines(pytest.fail)
    (machine / "nft").unlink()
    (machine / "mmdebstrap").unlink()
    lines: list[str] = []
    assert not debian_packages.provide_test_machines(lines.append), "this apt-get brings none of them"
    assert (machine / "log").read_text().splitlines()[-1].endswith("--no-install-recommends mmdebstrap nftables")
    assert lines == ["installing Debian's mmdebstrap nftables, for test machines"]


def test_long_tests_take_a_browser_and_a_daemon(machine: Path) -> None:
    (machine / "dockerd").touch(mode=0o755)
    lines: list[str] = []
    assert not debian_packages.provide_long_tests(lines.append), "this apt-get brings none of them"
    assert (machine / "log").read_text().splitlines()[-1].endswith("--no-install-recommends chromium busybox-static")
    for name in debian_packages.LONG_TESTS:
        (machine / name).touch(mode=0o755)
    assert debian_packages.provide_long_tests(pytest.fail)


def test_test_machines_need_root(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    lines: list[str] = []
    assert not debian_packages.provide_test_machines(lines.append)
    assert lines == ["test machines need root: their tests are skipped"]
    assert not (machine / "log").exists()
