"""What the kernel sees of one file: written, synced, renamed, its directory synced, in this order."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.host_wire import Wire

CANARY = "canary-5d2e-strace"


@pytest.fixture
def trace(tmp_path: Path) -> list[str]:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace")
    root, log = tmp_path / "root", tmp_path / "log"
    (root / "etc").mkdir(parents=True)
    watched = "openat,write,fsync,rename,renameat,renameat2,unlink,unlinkat,close,fchmod,fchown,execve"
    with Wire(root, wrapper=[strace, "-f", "-y", "-s", "64", "-e", f"trace={watched}", "-o", str(log)]) as wire:
        document = {"files": {"/etc/app.conf": {"content": CANARY, "mode": "0600", "secret": True}}}
        assert wire.apply(document)["event"] == "result"
    return log.read_text().splitlines()


def position(trace: list[str], pattern: str, after: int = 0) -> int:
    found = [number for number, line in enumerate(trace) if number >= after and re.search(pattern, line)]
    assert found, f"no call like {pattern}"
    return found[0]


def test_a_file_is_written_synced_renamed_and_its_directory_synced(trace: list[str]) -> None:
    draft = r"/etc/\.factory-[0-9a-f]{16}\.tmp"
    opened = position(trace, rf'openat\(.*"[^"]*{draft}", O_WRONLY\|O_CREAT\|O_EXCL\|O_NOFOLLOW\|O_CLOEXEC, 0600\)')
    owned = position(trace, rf"fchown\(\d+<[^>]*{draft}>", opened)
    mode = position(trace, rf"fchmod\(\d+<[^>]*{draft}>, 0600\)", owned)
    written = position(trace, rf'write\(\d+<[^>]*{draft}>, "{CANARY}"', mode)
    synced = position(trace, rf"fsync\(\d+<[^>]*{draft}>\)", written)
    renamed = position(trace, rf'rename\("[^"]*{draft}", "[^"]*/etc/app\.conf"\)', synced)
    position(trace, r"fsync\(\d+<[^>]*/etc>\)", renamed)


def test_a_secret_is_in_no_argument_and_no_other_file(trace: list[str]) -> None:
    writes = [line for line in trace if CANARY in line]
    assert len(writes) == 1
    assert "/etc/.factory-" in writes[0]
    assert sum("execve(" in line for line in trace) == 1, "only the agent itself is a program"
