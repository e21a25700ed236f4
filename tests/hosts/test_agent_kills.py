"""The agent is killed in front of each call to the system, and killed or cut off at random moments: the next run comes
to the same end.

By default in front of every sixth call, another one each time, and at five moments; with `--long` in front of all, and
at a hundred.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.host.agent import BOOTSTRAP, FrameParser, bundle, json_frame
from components.host.agent.host import Host
from components.host.args import HostStateArgs
from tests.support.host_machine import Driver, quick_directory, tree

ROOT = Path(__file__).resolve().parents[2]
OLD = {
    "files": {"/etc/kept": {"content": "old\n"}, "/etc/leaves": {"content": "x\n"}},
    "links": {"/etc/link": {"target": "old"}},
    "merges": {"/etc/foreign.json": {"format": "json", "values": {"a": 1}}},
    "directories": {"/srv/leaves": {}},
}
NEW: dict[str, Any] = {
    "files": {"/etc/kept": {"content": "new\n"}, "/srv/deep/er/new": {"content": "n\n", "mode": "0600"}},
    "links": {"/etc/link": {"target": "new"}},
    "directories": {"/srv/app": {"mode": "0750"}},
    "blocks": {"names": {"path": "/etc/hosts", "content": "10.0.0.1 a\n"}},
    "merges": {"/etc/foreign.json": {"format": "json", "values": {"b": 2}}},
    "steps": {"once": {"run": ["true"], "once_for": "v1"}},
}
WHOLE = {
    "etc/kept": {"old\n", "new\n"},
    "etc/leaves": {"x\n"},
    "srv/deep/er/new": {"n\n"},
    "etc/hosts": {
        "127.0.0.1 localhost\n",
        "127.0.0.1 localhost\n# BEGIN factory names\n10.0.0.1 a\n# END factory names\n",
    },
}
"""What a reader may ever meet in these files."""


@pytest.fixture
def work() -> Iterator[Path]:
    with quick_directory() as place:
        yield place


@pytest.fixture
def template(work: Path) -> Path:
    place = work / "template"
    (place / "etc").mkdir(parents=True)
    (place / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (place / "etc/foreign.json").write_text('{"theirs": true}')
    return place


def killed_at(template: Path, work: Path, documents: list[Any], first: int, step: int) -> list[dict[str, Any]]:
    case = work / "case.json"
    order = {"template": str(template), "work": str(work), "documents": documents, "first": first, "step": step}
    case.write_text(json.dumps(order))
    command = [sys.executable, "-m", "tests.support.host_kills", str(case)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("documents", [[NEW], [OLD, NEW], [NEW, {}]], ids=["create", "update", "delete"])
def test_killed_in_front_of_each_call(
    template: Path, work: Path, documents: list[Any], dice: random.Random, long_run: bool
) -> None:
    step = 1 if long_run else 6
    first, *runs = killed_at(template, work, documents, dice.randint(1, step), step)
    reference = first["reference"]
    assert first["total"] > 50
    assert len(runs) >= first["total"] // step
    for run in runs:
        where = f"killed in front of call {run['point']} of {first['total']}"
        assert run["killed"], where
        assert "traceback" not in run["after"], f"{where}\n{run['after']}"
        assert run["after"]["pending"] == [], where
        assert run["after"]["owned"] == reference["after"]["owned"], where
        assert run["end"] == reference["end"], where
        for path, allowed in WHOLE.items():
            assert run["torn"].get(path) in {None, *allowed}, f"{where}: {path}"


def test_no_temporary_file_no_journal_no_lock_is_left(template: Path, work: Path) -> None:
    """The reference of the test above is clean itself: it must not compare one mess with another."""
    first, *_ = killed_at(template, work, [NEW], 1, 1000)
    left = {path for path in first["reference"]["end"] if "factory" in path}
    (mark,) = {path for path in left if path.startswith("var/lib/factory/steps/")}
    assert left == {"etc/foreign.json.factory-backup", "var/lib/factory", "var/lib/factory/steps", mark}


def agent(root: Path, request: dict[str, Any]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-IS", "-c", BOOTSTRAP], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    (hello,) = FrameParser().feed(os.read(process.stdout.fileno(), 65536))
    process.stdin.write(bundle(hello["bytecode"]) + json_frame({**request, "root": str(root)}))
    process.stdin.flush()
    return process


def answer(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The last message of a request; then the agent's end."""
    assert process.stdout
    parser = FrameParser()
    while data := os.read(process.stdout.fileno(), 65536):
        for message in parser.feed(data):
            if message["event"] != "progress":
                process.communicate(json_frame({"kind": "end"}), timeout=60)
                return message
    raise AssertionError("the agent ended without an answer")


def killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def cut_off(process: subprocess.Popen[bytes]) -> None:
    """Lose the connection: the agent hears and says nothing more, and ends by itself."""
    assert process.stdin
    assert process.stdout
    process.stdout.close()
    process.stdin.close()
    process.wait(60)


@pytest.mark.parametrize("ended", [killed, cut_off])
def test_ended_at_random_moments(
    template: Path,
    work: Path,
    dice: random.Random,
    long_run: bool,
    ended: Callable[[subprocess.Popen[bytes]], None],
) -> None:
    files = {f"/srv/{number}": {"content": f"{number}\n" * 500} for number in range(30)}
    document = HostStateArgs.model_validate({**NEW, "files": {**NEW["files"], **files}}).document()
    request = {"kind": "apply", "document": document, "resource": "role", "lock": {"holder": "test", "wait": 0}}
    subprocess.run(["cp", "-a", str(template), str(work / "usual")], check=True)
    began = time.monotonic()
    answer(agent(work / "usual", request))
    usual = time.monotonic() - began
    interrupted = 0
    for turn in range(100 if long_run else 5):
        root = work / f"run-{turn}"
        subprocess.run(["cp", "-a", str(template), str(root)], check=True)
        process = agent(root, request)
        time.sleep(usual * (0.3 + 0.7 * dice.random()))
        ended(process)
        interrupted += (root / "var/lib/factory/journal").exists()
        for path, entry in files.items():
            place = root / path.lstrip("/")
            assert not place.exists() or place.read_text() == entry["content"]
        assert answer(agent(root, request))["event"] == "result"
        driver = Driver(Host(str(root)))
        assert driver.pending({**NEW, "files": {**NEW["files"], **files}}) == []
        assert not [path for path in tree(root) if path.endswith((".tmp", "factory.lock")) or "/journal" in path]
    assert os.environ.get("FACTORY_LONG") != "1" or interrupted > 0
