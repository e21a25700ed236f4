"""Checks as data: what they ask, what they expect, how a failure reads."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.host.args import HostStateArgs
from components.host.checks import HostCheck, as_data, expected_of, judge

UNIT = {"load": "loaded", "active": "active", "result": "success", "error": None}
OBSERVED: dict[str, tuple[dict[str, Any], dict[str, Any], bool, str, str]] = {
    "command": (
        {"command": ["id", "-un"], "contains": "root"},
        {"status": 0, "stdout": "root\n", "stderr": ""},
        True,
        "exit status 0, containing 'root'",
        "exit status 0, 'root'",
    ),
    "other output": (
        {"command": ["id", "-un"], "contains": "root"},
        {"status": 0, "stdout": "guest\n", "stderr": ""},
        False,
        "exit status 0, containing 'root'",
        "exit status 0, 'guest'",
    ),
    "wanted failure": (
        {"command": ["grep", "x", "y"], "status": 1},
        {"status": 1, "stdout": "", "stderr": ""},
        True,
        "exit status 1",
        "exit status 1",
    ),
    "error output": (
        {"command": ["ls", "/x"]},
        {"status": 2, "stdout": "", "stderr": "no such file\n"},
        False,
        "exit status 0",
        "exit status 2, 'no such file'",
    ),
    "page": (
        {"http": "http://127.0.0.1/health?full=1"},
        {"status": 200, "body": "fine", "headers": {}},
        True,
        "status 200",
        "status 200",
    ),
    "broken page": (
        {"http": "http://127.0.0.1/"},
        {"status": 502, "body": "bad gateway", "headers": {}},
        False,
        "status 200",
        "status 502, 'bad gateway'",
    ),
    "redirection": (
        {"http": "http://127.0.0.1/", "status": 301},
        {"status": 301, "body": ""},
        True,
        "status 301",
        "status 301",
    ),
    "closed port": ({"port": 80}, {"open": False}, False, "open", "refused"),
    "open port": ({"port": 80, "address": "10.1.1.1"}, {"open": True}, True, "open", "open"),
    "running unit": ({"unit": "web.service"}, UNIT, True, "active", "active"),
    "failed unit": (
        {"unit": "web.service"},
        {**UNIT, "active": "failed", "result": "exit-code"},
        False,
        "active",
        "failed (exit-code)",
    ),
    "unknown unit": (
        {"unit": "web.service"},
        {**UNIT, "load": "not-found", "active": "inactive"},
        False,
        "active",
        "not-found",
    ),
    "file": ({"file": "/etc/x"}, {"type": "file", "mode": "0644"}, True, "there", "file"),
    "missing file": ({"file": "/etc/x"}, {"type": None}, False, "there", "missing"),
    "timeout": ({"file": "/etc/x"}, {"error": "it did not end in 10 s"}, False, "there", "it did not end in 10 s"),
}


@pytest.mark.parametrize("name", OBSERVED)
def test_what_was_seen_is_compared_with_what_must_be(name: str) -> None:
    asked, seen, ok, expected, actual = OBSERVED[name]
    check = HostCheck.model_validate({**asked, "likely_cause": "look there"})
    (result,) = judge({name: check}, {name: {"error": None, **seen}})
    assert (result.ok, result.expected, result.actual) == (ok, expected, actual)
    assert result.likely_cause == ("" if ok else "look there")


def test_a_check_without_an_answer_has_failed() -> None:
    (result,) = as_data(judge({"x": HostCheck(port=1)}, {}))
    assert result == {
        "name": "x",
        "subject": "port 1 of 127.0.0.1",
        "ok": False,
        "expected": "open",
        "actual": "nothing was observed",
        "likely_cause": "",
    }


def test_the_agent_is_asked_in_its_own_words() -> None:
    assert HostCheck(port=80, timeout=3).request() == {"port": 80, "address": "127.0.0.1", "timeout": 3}
    assert HostCheck(command=("id",)).request() == {"command": ["id"], "timeout": 10}
    page = HostCheck(http="https://127.0.0.1/", insecure=True)
    assert page.request() == {"http": "https://127.0.0.1/", "insecure": True, "timeout": 10}


def test_a_role_says_itself_what_must_hold() -> None:
    role = HostStateArgs.model_validate(
        {
            "files": {"/etc/x": {"content": ""}, "/etc/gone": {"state": "absent"}},
            "units": {"web.service": {"running": True}, "other.service": {"enabled": True}},
        }
    )
    assert {name: check.kind for name, check in expected_of(role).items()} == {
        "unit web.service": "unit",
        "path /etc/x": "file",
    }


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ({}, "exactly one of command, http, port, unit, file: add one"),
        ({"port": 1, "unit": "x.service"}, "keep one of port, unit"),
        ({"port": 1, "contains": "x"}, "a port has no text"),
        ({"port": 1, "status": 1}, "status says nothing about a port: remove it, or ask a command or http"),
        ({"command": ["true"], "insecure": True}, "insecure says nothing about a command"),
        ({"unit": "a.service", "address": "10.0.0.1"}, "address says nothing about a unit"),
        ({"http": "ftp://x"}, "match pattern"),
        ({"file": "etc/x"}, "no absolute path: begin it with"),
    ],
)
def test_a_check_that_asks_nothing_clear_is_refused(check: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        HostCheck.model_validate(check)
