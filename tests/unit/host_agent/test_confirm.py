"""Commit-confirm without systemd: what nobody confirms comes back by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.host.agent import json_frame
from tests.support.host_wire import Wire

NETWORK = "/etc/network"


def document(content: str, timeout: int = 600, **more: Any) -> dict[str, Any]:
    return {
        "files": {NETWORK: {"content": content}, "/etc/other": {"content": content}, "/etc/new": {"content": content}},
        "confirm": {"items": [f"files:{NETWORK}", "files:/etc/new"], "timeout": timeout, **more},
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/network").write_text("good")
    (tmp_path / "etc/network").chmod(0o640)
    return tmp_path


def confirm(root: Path, token: str) -> dict[str, Any]:
    with Wire(root) as fresh:
        return fresh.ask({"kind": "confirm", "token": token})


def test_confirmed_stays(root: Path) -> None:
    with Wire(root) as wire:
        applied = wire.apply(document("new"))
    assert applied["confirm"]["timeout"] == 600
    assert confirm(root, applied["confirm"]["token"])["confirmed"] is True
    assert (root / "etc/network").read_text() == "new"
    assert not (root / "var/lib/factory/confirm").exists() or not list((root / "var/lib/factory/confirm").iterdir())
    late = confirm(root, applied["confirm"]["token"])
    assert late["confirmed"] is False


def test_unconfirmed_comes_back_with_its_mode_and_undo_runs(root: Path) -> None:
    with Wire(root) as wire:
        applied = wire.apply(document("bad", timeout=3, undo=[["touch", str(root / "etc/un done")]]))
        assert "files:/etc/network" in applied["applied"]
        wait_until((root / "etc/un done").exists)
        assert (root / "etc/network").read_text() == "good"
        assert (root / "etc/network").stat().st_mode & 0o777 == 0o640
        assert not (root / "etc/new").exists()
        assert (root / "etc/other").read_text() == "bad", "only what is named comes back"
        assert confirm(root, applied["confirm"]["token"])["confirmed"] is False
        items = [action["item"] for action in wire.plan(document("bad"))["plan"]["actions"]]
        assert items == ["files:/etc/network", "files:/etc/new"]


@pytest.mark.parametrize("interrupted", [True, False])
def test_what_a_power_cut_interrupts_goes_on_and_what_was_confirmed_stays(root: Path, *, interrupted: bool) -> None:
    with Wire(root) as wire:
        wire.apply(document("bad"))
    (place,) = (root / "var/lib/factory/confirm").iterdir()
    os.killpg(int((place / "pid").read_text()), signal.SIGTERM)
    (place / "decided").mkdir()
    if interrupted:
        (place / "decided/revert").touch()
    subprocess.run(["sh", place / "revert.sh"], check=True, stderr=subprocess.DEVNULL)
    assert (root / "etc/network").read_text() == ("good" if interrupted else "bad")
    assert place.exists() is not interrupted


def test_nothing_to_confirm_where_nothing_dangerous_changes(root: Path) -> None:
    with Wire(root) as wire:
        wire_document = document("good")
        wire_document["files"][NETWORK]["mode"] = "0640"
        first = wire.apply(wire_document)
        assert confirm(root, first["confirm"]["token"])["confirmed"] is True
        wire_document["files"]["/etc/other"]["content"] = "changed"
        assert wire.apply(wire_document)["confirm"] is None


def test_a_run_that_failed_cannot_be_confirmed(root: Path) -> None:
    failing = {
        **document("bad", timeout=30),
        "steps": {"bad": {"run": ["false"], "creates": "/x"}},
    }
    with Wire(root) as wire:
        assert wire.apply(failing)["error"]["item"] == "steps:bad"
    (place,) = (root / "var/lib/factory/confirm").iterdir()
    answer = confirm(root, place.name)
    assert answer == {
        "event": "result",
        "kind": "confirm",
        "confirmed": False,
        "reason": "the run did not come to its end, so the host takes the change back",
    }
    os.killpg(int((place / "pid").read_text()), signal.SIGTERM)


def test_a_killed_agent_does_not_keep_the_host_from_taking_the_change_back(root: Path) -> None:
    waiting = {"steps": {"wait": {"run": ["sh", "-c", "echo $$ >pid; exec sleep 60"], "creates": "/x"}}}
    with Wire(root) as wire:
        planned = wire.plan(document("bad", timeout=2) | waiting, lock={"holder": "test", "wait": 0})
        wire.send_bytes(json_frame({"kind": "apply", "plan_id": planned["plan_id"], "root": str(root)}))
        # The step follows the files.
        wait_until(lambda: (root / "pid").exists() and (root / "pid").read_text().endswith("\n"))
        wire.process.kill()
        wire.process.wait()
    os.kill(int((root / "pid").read_text()), signal.SIGKILL)
    wait_until(lambda: not list((root / "var/lib/factory/confirm").iterdir()))
    assert (root / "etc/network").read_text() == "good"
    assert not (root / "etc/new").exists()
    with Wire(root) as wire:
        assert wire.read(document("bad"))["interrupted"] is True


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what is to come; in vain is a failure."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
