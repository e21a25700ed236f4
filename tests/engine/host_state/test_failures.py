"""What goes wrong on a host or on the way to it, through the engine: one clean message, and the next run goes on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.engine.host_state.conftest import CANARY, Machine
from tests.support.canary import Scanner, watched_processes
from tests.support.fake_sudo import FakeSudo
from tests.support.waiting import until

pytestmark = pytest.mark.engine

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
NO_HOST = {"port": 9}


def files(count: int, text: str = "") -> dict[str, Any]:
    return {f"/etc/app/{number}.conf": {"content": f"{number} {text}\n" * 200} for number in range(count)}


def state(machine: Machine) -> dict[str, Any] | None:
    """The resource in the state."""
    found = json.loads(machine.program.state())["deployment"].get("resources") or []
    return next((each for each in found if each["type"] == "factory-host:index:HostState"), None)


def test_a_failure_in_the_middle_keeps_what_was_done_and_the_next_run_goes_on(machine: Machine) -> None:
    role = {
        "files": files(3),
        "steps": {"migrate": {"run": ["sh", "-c", "echo no good >&2; test -e allowed"], "once_for": "1"}},
    }
    values = machine.values(base=role)
    printed = machine.failing("up", "--yes", "--skip-preview", values=values)
    assert f"127.0.0.1:{machine.host['port']}: " in printed
    for part in ("steps:migrate", "status 1", "no good", "applied before: ", "not applied: steps:migrate"):
        assert part in printed
    kept = state(machine)
    assert kept is not None
    assert sorted(kept["outputs"]["owned"]["files"]) == sorted(role["files"])
    written = machine.snapshot()
    machine.path("allowed").touch()
    machine.program.up(**values)
    after = machine.snapshot()
    assert all(after[name] == found for name, found in written.items() if name.startswith("etc/app/"))
    machine.program.unchanged(**values)
    machine.program.run("destroy", "--yes", "--skip-preview", "--refresh")
    assert not any(name.startswith("etc/app/") for name in machine.snapshot())


def test_a_run_that_the_user_interrupts_stops_at_the_next_step(machine: Machine) -> None:
    wait = ["sh", "-c", "touch started; sleep 60"]
    role = {"files": files(2), "steps": {"wait": {"run": wait, "once_for": "1"}}}
    running = machine.starts("up", "--yes", "--skip-preview", values=machine.values(base=role))
    until(machine.path("started").exists, 60)
    started = time.monotonic()
    os.kill(running.pid, signal.SIGINT)
    printed, _ = running.communicate(timeout=60)
    assert time.monotonic() - started < 50, "the step was not waited for"
    assert running.returncode != 0
    assert "Traceback" not in printed
    kept = state(machine)
    assert kept is not None
    assert sorted(kept["outputs"]["owned"]["files"]) == sorted(role["files"])
    machine.program.up(**machine.values(base={**role, "steps": {"wait": {"run": ["true"], "once_for": "1"}}}))


def test_killed_anywhere_the_next_run_converges(
    machines: Callable[[], Machine], dice: random.Random, long_run: bool
) -> None:
    machine = machines()
    lock = machine.path("/run/factory.lock")
    step = {"nap": {"run": ["sh", "-c", "sleep 0.2; echo x >>naps"], "on_change": ["files:/etc/app/1.conf"]}}
    for turn in range(10 if long_run else 2):
        role = {"files": files(40, f"turn {turn}"), "steps": step}
        values = machine.values(base=role)
        running = machine.starts("up", "--yes", "--skip-preview", values=values)
        until(partial(_holder, lock), 60)
        time.sleep(dice.uniform(0, 0.4))
        holder = _holder(lock)
        if holder is not None:
            # The agent itself, or the server's process that carries its connection.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                os.kill(holder if turn % 2 else _parent(holder), signal.SIGKILL)
        printed, _ = running.communicate(timeout=120)
        assert "Traceback" not in printed
        if holder is not None and running.returncode:
            assert re.search(rf"127\.0\.0\.1:{machine.host['port']}.*the connection was lost", printed), printed
        machine.program.up(**values)
        machine.program.unchanged(**values)
        found = {path: machine.path(path).read_text() for path in role["files"]}
        assert found == {path: each["content"] for path, each in role["files"].items()}
        assert {each.name for each in machine.path("/etc/app").iterdir()} == {Path(path).name for path in role["files"]}
        assert _is_free(lock)
        assert len(machine.path("naps").read_text().split()) >= turn + 1, (
            "what follows a change is owed until it is done"
        )


def test_an_unreachable_host_is_named_within_seconds_and_its_state_is_kept(machine: Machine) -> None:
    role = {"files": {"/etc/one": {"content": "1"}}}
    values = machine.values(base=role)
    away = machine.values(base=role)
    away["host"] = {**machine.host, **NO_HOST}
    started = time.monotonic()
    # A host that does not exist yet can be planned for, with a warning.
    printed = machine.program.run("preview", check=False, values=away)
    assert "cannot reach 127.0.0.1:9: Connection refused. This preview counts everything as new" in printed
    assert "to create" in printed
    assert "cannot reach 127.0.0.1:9" in machine.failing("up", "--yes", "--skip-preview", values=away)
    assert time.monotonic() - started < 120
    assert state(machine) is None
    machine.program.up(**values)
    before = state(machine)
    assert before is not None
    # A host that has moved: its state names the old place, where nobody answers.
    machine.edit_state(lambda found: found["inputs"]["host"].update(NO_HOST))
    printed = machine.failing("up", "--yes", "--skip-preview", "--refresh", values=values)
    assert "cannot reach 127.0.0.1:9: Connection refused. Its state is therefore not known" in printed
    after = state(machine)
    assert after is not None
    assert after["inputs"]["desired"] == before["inputs"]["desired"]
    machine.program.run("up", "--yes", "--skip-preview", "--refresh=false", values=values)
    machine.program.unchanged(**values)


def test_a_changed_host_key_is_refused_with_both_fingerprints(machine: Machine) -> None:
    values = machine.values(base={"files": {"/etc/one": {"content": "1"}}})
    values["host"] = {**machine.host, "host_key": OTHER_KEY}
    # Somebody answers: in a preview too this is no host that does not exist yet.
    for arguments in (["preview"], ["up", "--yes", "--skip-preview"]):
        printed = machine.failing(*arguments, values=values)
        assert "shows another host key than the pinned one: pinned ssh-ed25519 SHA256:" in printed
        assert printed.count("SHA256:") >= 2
    assert not machine.path("/etc/one").exists()


def test_a_wrong_sudo_password_is_one_message_and_one_attempt(machine: Machine, sudo: FakeSudo) -> None:
    values = machine.values(base={"files": {"/etc/one": {"content": "1"}}})
    values["host"] = {**machine.host, "sudo": "password"}
    values["credentials"] = {**values["credentials"], "sudo_password": "wrong-password"}
    printed = machine.failing("up", "--yes", "--skip-preview", values=values)
    assert f"127.0.0.1:{machine.host['port']}: the sudo password is wrong" in printed
    assert "wrong-password" not in printed
    assert sudo.attempts == 2
    values["credentials"]["sudo_password"] = CANARY
    machine.program.up(**values)
    assert machine.path("/etc/one").read_text() == "1"


def test_a_secret_is_nowhere_but_where_it_belongs(machine: Machine, sudo: FakeSudo, tmp_path: Path) -> None:
    role = {
        "files": {"/etc/app/key": {"mode": "0600"}, "/etc/app/plain": {"content": "visible\n"}},
        "steps": {"fails": {"run": ["sh", "-c", "cat etc/app/key >&2; test -e allowed"], "once_for": "1"}},
    }
    values = machine.values(contents={"/etc/app/key": CANARY}, base=role)
    values["host"] = {**machine.host, "sudo": "password"}
    values["credentials"] = {**values["credentials"], "sudo_password": CANARY}
    scanner = Scanner({"canary": CANARY})
    # The program's own environment holds VALUES, as a person's shell would: it is left out of the list of processes.
    with watched_processes() as watch:
        printed = machine.failing("up", "--yes", "--skip-preview", values=values)
        machine.path("allowed").touch()
        printed += machine.program.run("up", "--yes", "--diff", values=values)
        machine.path("/etc/app/key").write_text("edited")
        printed += machine.program.run("preview", "--refresh", "--diff", "--json", values=values)
        printed += machine.program.run("up", "--yes", "--refresh", "--diff", "--logtostderr", "-v=9", values=values)
    assert machine.path("/etc/app/key").read_text() == CANARY
    assert "edited" not in printed
    assert scanner.text("printed", printed) == []
    assert scanner.text("state", machine.program.state()) == []
    assert scanner.text("arguments", b"\n".join(watch.arguments)) == []
    places = [machine.program.folder / "state", machine.root, machine.server_log.parent, sudo.program.parent, tmp_path]
    assert {finding.split(":")[0] for finding in scanner.files(places)} == {
        str(machine.path("/etc/app/key")),
        f"{sudo.program}.password",
    }


def _holder(lock: Path) -> int | None:
    """The agent that holds the host's lock."""
    try:
        return int(json.loads(lock.read_text())["pid"])
    except (OSError, ValueError):
        return None


def _is_free(lock: Path) -> bool:
    """Whether nobody holds it; the file alone is what an agent leaves that was killed when its work was done."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
