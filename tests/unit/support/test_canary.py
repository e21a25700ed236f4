"""The search for secrets must be able to find one."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.support.canary import Scanner, watched_processes

SECRET = "canary-5f0c/+7e1=d2"
HIDING_PLACES = {
    "raw": f"password={SECRET};".encode(),
    "in JSON": json.dumps({"a": [SECRET]}).encode(),
    "base64 of itself": base64.b64encode(SECRET.encode()),
    "base64 behind one byte": base64.b64encode(f"x{SECRET}".encode()),
    "base64 behind two bytes": base64.b64encode(f"{{}}{SECRET}\n".encode()),
    "base64 in a text": base64.b64encode(f'{{"SESSION_KEY":"{SECRET}","B":1}}'.encode()),
    "base64 for URLs": base64.urlsafe_b64encode(f"user:{SECRET}".encode()),
    "in a URL": f"postgres://user:{quote_plus(SECRET)}@host".encode(),
    "hex": SECRET.encode().hex().encode(),
    "hex in capitals": SECRET.encode().hex().upper().encode(),
    "in binary data": b"\x00\xff" + SECRET.encode() + b"\x00",
}


@pytest.mark.parametrize("content", HIDING_PLACES.values(), ids=HIDING_PLACES)
def test_a_planted_secret_is_found(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "deep" / "er" / "log.1"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    found = Scanner({"canary": SECRET, "other": "something-else"}).files([tmp_path])
    assert found
    assert all(line.startswith(f"{file}: canary (") for line in found)
    assert not any(SECRET in line for line in found)


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "log").write_text("canary-5f0c/+7e1 canary", "utf-8")
    (tmp_path / "left-out").mkdir()
    (tmp_path / "left-out" / "log").write_text(SECRET, "utf-8")
    assert Scanner({"canary": SECRET}).files([tmp_path], skipped=frozenset({"left-out"})) == []


def test_a_secret_of_a_process_is_found() -> None:
    waiting = [sys.executable, "-c", "input()"]
    with (
        watched_processes() as watch,
        subprocess.Popen([*waiting, SECRET], stdin=subprocess.PIPE, text=True) as one,
        subprocess.Popen(waiting, stdin=subprocess.PIPE, text=True, env={"TOKEN": SECRET.upper()}) as other,
    ):
        deadline = time.monotonic() + 90
        while not all(word.encode() in watch.text() for word in (SECRET, SECRET.upper())):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for process in (one, other):
            process.communicate("\n")
    scanner = Scanner({"argument": SECRET, "variable": SECRET.upper()})
    assert scanner.text("arguments", b"\n".join(watch.arguments)) == ["arguments: argument (raw)"]
    assert scanner.text("environments", b"\n".join(watch.environments)) == ["environments: variable (raw)"]
