"""A process is named so that a recycled number never names a stranger; a backend dies with the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import launch, service
from sandbox.processes import ProcessId, memory, wait_gone, with_descendants
from sandbox.service import Service, launched


def mine() -> ProcessId:
    identity = ProcessId.of(os.getpid())
    assert identity
    return identity


def test_this_process_is_alive_and_knows_its_age() -> None:
    assert mine().alive()
    assert 0 <= mine().uptime() < 86_400
    assert (memory(os.getpid()) or 0) > 1_000_000


@pytest.mark.parametrize("change", [{"started_ticks": 1}, {"boot": "another"}, {"pid": 2**22 + 1}])
def test_another_start_time_boot_or_number_is_not_this_process(change: dict[str, object]) -> None:
    other = mine().model_copy(update=change)
    assert not other.alive()
    other.signal(signal.SIGKILL)  # and is not signalled: this test goes on


def test_a_process_is_gone_when_it_ended_even_before_it_is_waited_for() -> None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    identity = ProcessId.of(child.pid)
    assert identity
    assert child.pid in with_descendants(os.getpid())
    assert wait_gone([identity], 0.05) == [identity]
    identity.signal(signal.SIGKILL)
    assert wait_gone([identity], 5) == []
    assert ProcessId.of(child.pid) is None
    child.wait()


def test_a_launched_process_dies_with_its_parent(tmp_path: Path) -> None:
    child_id = tmp_path / "pid"
    middle = (
        "import subprocess, sys, time\n"
        "from sandbox.service import launched\n"
        "child = subprocess.Popen(launched(('/bin/sleep', '60'), unprivileged=False))\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", middle, str(child_id)], cwd=Path(launch.__file__).parent.parent
    ) as parent:
        child = until_sleeping(child_id)
        assert child.alive()
        parent.kill()
    assert wait_gone([child], 5) == []


def until_sleeping(path: Path) -> ProcessId:
    """Wait until the launcher has become `sleep`, so that its death signal is set."""
    deadline = time.monotonic() + 90
    while True:
        assert time.monotonic() < deadline
        if path.exists() and (text := path.read_text()):
            identity = ProcessId.of(int(text))
            if identity and Path(f"/proc/{text}/comm").read_text() == "sleep\n":
                return identity
        time.sleep(0.02)


def test_the_launcher_refuses_a_parent_that_is_gone() -> None:
    command = launched(("/bin/echo", "started"), unprivileged=False)
    command[command.index(str(os.getpid()))] = "1"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_launcher_becomes_the_program_with_its_arguments() -> None:
    done = subprocess.run(
        launched(("/bin/echo", "a b", "--", "$c"), unprivileged=False), capture_output=True, check=True
    )
    assert done.stdout == b"a b -- $c\n"


def test_the_launcher_without_a_command_says_how_it_is_used() -> None:
    command = [sys.executable, "-I", "-S", launch.__file__, "1", "9", "-", "--"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "usage" in done.stderr) == (2, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="root: only root can become somebody else")
def test_a_backend_that_refuses_root_keeps_one_ability_only(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "open-to-its-owner").write_text("content")
    script = 'grep -E \'^(Uid|Groups|CapEff|CapPrm):\' /proc/self/status; cat "$0"; touch "$0.new" || echo refused'
    argv = ("/bin/sh", "-c", script, str(closed / "open-to-its-owner"))
    done = subprocess.run(launched(argv, unprivileged=True), capture_output=True, text=True, check=True)
    user = service.unprivileged_user()
    assert user
    assert f"Uid:\t{user[0]}\t{user[0]}" in done.stdout
    capabilities = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("Cap")}
    assert capabilities <= {f"{1 << 2:016x}", f"{1 << 1:016x}"}
    assert "content" in done.stdout
    if capabilities == {f"{1 << 2:016x}"}:
        assert "refused" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="root: only root can become somebody else")
def test_a_backend_that_refuses_root_finds_its_program_in_a_closed_directory(tmp_path: Path) -> None:
    """PostgreSQL asks access(2) about its own program, in a checkout below /root."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "program").write_text("#!/bin/sh\n")
    (closed / "program").chmod(0o755)
    script = "import os, sys; print(os.access(sys.argv[1], os.R_OK | os.X_OK), os.access(sys.argv[2], os.W_OK))"
    argv = (sys.executable, "-I", "-S", "-c", script, str(closed / "program"), str(closed))
    done = subprocess.run(launched(argv, unprivileged=True), capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


def test_a_backends_environment_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    environment = Service("x", ("/bin/x",), environment={"GOMEMLIMIT": "1MiB"}).full_environment()
    assert environment == {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC", "GOMEMLIMIT": "1MiB"}
