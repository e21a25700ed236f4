"""What goes wrong on a real machine and on the way to it: refused with the reason, nothing half done, healed later."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from components.host.session import AgentError, LostError
from components.host.transport import HostError, UnreachableError
from tests.hosts.conftest import Repository
from tests.support import machines
from tests.support.lasting_machine import lasting_machine
from tests.support.machine_image import CAREFUL, DEPLOYER, PASSWORD
from tests.support.machines import Keys, Machine
from tests.support.managed_host import ManagedHost, trace
from tests.support.slow_link import slow_link

MEGABYTE = 1024 * 1024
CANARY = "k4nary-on-a-machine"


def one(path: str, content: str = "new\n") -> dict[str, Any]:
    return {"files": {path: {"content": content}}}


def test_a_disk_without_room_is_named_before_anything_is_changed(host: ManagedHost) -> None:
    machine = host.machine
    machine.run("mkdir", "/srv/small")
    machine.run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", "/srv/small")
    role = {"files": {"/etc/first": {"content": "x"}, "/srv/small/x": {"content": "n" * 8 * MEGABYTE}}}
    with pytest.raises(AgentError, match=r"/srv/small has 4\.0 MiB free, 8\.0 MiB are to be written: free some room"):
        host.apply(role)
    assert not machine.path("/etc/first").exists()
    machine.run("mount", "-o", "remount,size=16m", "/srv/small")
    assert host.apply(role) == ["create files:/etc/first", "create files:/srv/small/x"]


def test_a_disk_that_fills_up_meanwhile_leaves_the_old_file_and_no_rest(host: ManagedHost) -> None:
    machine = host.machine
    machine.run("mkdir", "/srv/small")
    machine.run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", "/srv/small")
    host.apply(one("/srv/small/x", "old\n"))
    fill = {
        "run": ["sh", "-c", "cat /dev/zero >/srv/small/fill || true"],
        "stage": "prepare",
        "creates": "/srv/small/fill",
    }
    role = one("/srv/small/x", "n" * MEGABYTE) | {"steps": {"fill": fill}}
    with pytest.raises(AgentError, match=r"/srv/small/x.*[Nn]o space left"):
        host.apply(role)
    assert machine.run("sh", "-c", "ls -A /srv/small; cat /srv/small/x").stdout == "fill\nx\nold\n"
    machine.run("mount", "-o", "remount,size=32m", "/srv/small")
    assert host.apply(role) == ["update files:/srv/small/x"]


def test_a_file_system_that_is_read_only_is_named(host: ManagedHost) -> None:
    host.machine.run("mkdir", "/srv/sealed")
    host.machine.run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/srv/sealed")
    with pytest.raises(AgentError, match=r"the file system of /srv/sealed is read-only: mount it read-write first"):
        host.apply(one("/srv/sealed/x"))
    host.machine.run("mount", "-o", "remount,rw", "/srv/sealed")
    assert host.apply(one("/srv/sealed/x")) == ["create files:/srv/sealed/x"]


_HOLD_APT = """
import fcntl, sys, time
held = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_held_lock_of_apt_is_waited_for_or_named(host: ManagedHost, repository: Repository) -> None:
    role = {"repositories": {"tests": repository.item}, "packages": {"tiny": {}}}
    with host.machine.running_inside("python3", "-c", _HOLD_APT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        facts = host.asked(lambda session: session.plan(host.request(role)))["facts"]
        assert facts["apt_lock"]
    assert "create packages:tiny" in host.apply(role)


def test_sudo_with_a_right_and_with_a_wrong_password(machine: Machine) -> None:
    right = ManagedHost.of(machine, user=CAREFUL, sudo="password", sudo_password=PASSWORD)
    assert right.apply(one("/etc/by-sudo")) == ["create files:/etc/by-sudo"]
    assert machine.path("/etc/by-sudo").stat().st_uid == 0
    without = ManagedHost.of(machine, user=DEPLOYER, sudo="passwordless")
    assert without.apply(one("/etc/by-sudo")) == []
    wrong = ManagedHost.of(machine, user=CAREFUL, sudo="password", sudo_password="not-it")
    with pytest.raises(UnreachableError, match="the sudo password is wrong") as caught:
        wrong.plan(one("/etc/by-sudo"))
    assert "not-it" not in str(caught.value)
    refused = ManagedHost.of(machine, user=CAREFUL, sudo="passwordless")
    with pytest.raises(UnreachableError, match=r"sudo refuses: .*password is required"):
        refused.plan(one("/etc/by-sudo"))


def test_a_changed_host_key_is_refused_with_both_fingerprints(machine: Machine, tmp_path: Any) -> None:
    other = Keys.make(tmp_path)
    with pytest.raises(UnreachableError, match="shows another host key than the pinned one") as caught:
        ManagedHost.of(machine, host_key=other.host_key).plan(one("/etc/x"))
    assert len(set(re.findall(r"SHA256:\S+", str(caught.value)))) == 2


def test_a_slow_link_costs_two_round_trips_after_the_connection(machine: Machine) -> None:
    """The agent's program, its plan and its work: the rest of a slow link is the connection itself."""
    added, near = 0.5, ManagedHost.of(machine)

    def beyond_connecting(host: ManagedHost, path: str) -> float:
        async def work(session: Any) -> float:
            await session._transport.connect()
            begun = time.monotonic()
            await host.applied(session, one(path))
            return time.monotonic() - begun

        return host.asked(work)

    usual = min(beyond_connecting(near, f"/srv/near-{turn}") for turn in range(3))
    with slow_link(machine.address, machine.port, added) as port:
        slow = ManagedHost.of(machine, address="127.0.0.1", port=port)
        # What else goes on here makes a run slower, never faster: one that is quick enough is the proof.
        runs = (beyond_connecting(slow, f"/srv/slow-{turn}") - usual for turn in range(8))
        # A channel opens in two round trips; two more are the agent's; a third would be too many.
        assert any(difference < (2 + 2 + 1) * added for difference in runs)


def test_a_link_that_loses_packets_is_only_slower(host: ManagedHost) -> None:
    rules = "table inet loss { chain input { type filter hook input priority 0; numgen random mod 100 < 5 drop; }; }"
    host.machine.network("nft", rules)
    assert host.apply(one("/srv/lossy", "x" * MEGABYTE)) == ["create files:/srv/lossy"]
    assert host.machine.path("/srv/lossy").stat().st_size == MEGABYTE
    assert host.plan(one("/srv/lossy", "x" * MEGABYTE)) == []


def test_what_is_in_the_way_is_not_replaced(host: ManagedHost) -> None:
    machine = host.machine
    machine.run("mkdir", "/srv/directory")
    machine.run("ln", "-s", "/etc/passwd", "/srv/link")
    before = trace(machine, "/etc/passwd")
    for path, what in (("/srv/directory", "directory"), ("/srv/link", "link")):
        (problem,) = host.problems(one(path))
        assert path in problem
        assert what in problem
    assert trace(machine, "/etc/passwd") == before


def test_big_binary_and_oddly_named_files_arrive_as_they_are(host: ManagedHost) -> None:
    names = ["/srv/with space", '/srv/it\'s "quoted"', "/srv/two\nlines", "/srv/näme-☃", "/srv/$HOME;`id`", "/srv/-rf"]
    files: dict[str, dict[str, str]] = {name: {"content": f"{number}\n"} for number, name in enumerate(names)}
    files["/srv/binary"] = {"content_base64": "AAH//gAK"}
    files["/srv/big"] = {"content": "0123456789abcde\n" * (10 * MEGABYTE // 16)}
    before = host.machine.run("ls", "-A", "/srv").stdout
    host.apply({"files": files})
    for number, name in enumerate(names):
        assert host.machine.path(name).read_text() == f"{number}\n"
    assert host.machine.path("/srv/binary").read_bytes() == b"\x00\x01\xff\xfe\x00\n"
    assert host.machine.path("/srv/big").stat().st_size == 10 * MEGABYTE
    assert host.apply({"files": files}) == []
    host.apply({"files": files}, delete=True)
    assert host.machine.run("ls", "-A", "/srv").stdout == before


def test_a_change_that_cuts_the_connection_comes_back_by_itself(host: ManagedHost) -> None:
    machine, settings = host.machine, "/etc/ssh/sshd_config.d/port.conf"
    role: dict[str, Any] = {
        "files": {settings: {"content": "Port 2222\n", "validate_with": ["sshd", "-t", "-f", "%s"]}},
        "units": {"ssh.service": {"running": True, "restart_on": [f"files:{settings}"]}},
        "confirm": {"items": [f"files:{settings}"], "timeout": 5},
    }
    with pytest.raises(LostError, match="takes the change back"):
        host.apply(role)
    wait_until(lambda: not machine.path(settings).exists() and machine.answers())
    # A change of the same kind that leaves the way open is confirmed and stays.
    role["files"][settings]["content"] = "Port 22\nPort 2222\n"
    role["confirm"]["timeout"] = 600
    host.apply(role)
    assert machine.path(settings).read_text() == "Port 22\nPort 2222\n"
    timers = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "factory-revert*").stdout
    assert (timers, machine.run("ls", "-A", "/var/lib/factory/confirm").stdout) == ("", "")
    assert host.plan(role) == []


@pytest.mark.skipif(bool(machines.missing()), reason=machines.missing())
def test_a_power_cut_before_the_confirmation_takes_the_change_back() -> None:
    """Somebody walks to the machine that cannot be reached any more, and pulls its plug."""
    with lasting_machine(f"pulled-{os.getpid()}") as machine:
        unconfirmed_and_confirmed(machine)


def unconfirmed_and_confirmed(machine: Machine) -> None:
    host, settings, notes = ManagedHost.of(machine), "/etc/ssh/sshd_config.d/port.conf", "/var/lib/factory/confirm"
    before = machine.run("ls", "-A", "/etc/systemd/system").stdout
    role: dict[str, Any] = {
        "files": {settings: {"content": "Port 2222\n"}},
        "units": {"ssh.service": {"running": True, "restart_on": [f"files:{settings}"]}},
        "confirm": {"items": [f"files:{settings}"], "timeout": 600},
    }
    with ThreadPoolExecutor() as pool:
        applying = pool.submit(host.apply, role)
        # The run has come to its end there, and asks again and again until it is answered.
        wait_until(lambda: any(machine.path(notes).glob("*/finished")) and not machine.answers())
        assert machine.path(settings).exists()
        machine.reset()
        with pytest.raises(LostError):
            applying.result(timeout=60)
    wait_until(lambda: machine.run("ls", "-A", notes).stdout == "" and machine.answers())
    assert not machine.path(settings).exists()
    assert machine.run("ls", "-A", "/etc/systemd/system").stdout == before
    # What was confirmed outlives a restart.
    role["files"][settings]["content"] = "Port 22\nPort 2222\n"
    host.apply(role)
    machine.reset()
    assert machine.path(settings).read_text() == "Port 22\nPort 2222\n"
    assert machine.run("ls", "-A", "/etc/systemd/system").stdout == before
    assert host.plan(role) == []


def test_the_agent_writes_syncs_renames_and_syncs_the_directory(host: ManagedHost) -> None:
    wrapper = '#!/bin/sh\nexec strace -f -y -o /run/trace -e trace=write,fsync,rename,renameat,renameat2 python3 "$@"\n'
    host.machine.path("/usr/local/bin/traced").write_text(wrapper)
    host.machine.path("/usr/local/bin/traced").chmod(0o755)
    traced = ManagedHost.of(host.machine, python="/usr/local/bin/traced")
    traced.apply(one("/srv/traced", "durable\n"))
    pattern = re.compile(r'^\d+ +(write|fsync|rename)\w*\((?:\d+<|")/srv[/>].*', re.MULTILINE)
    calls = list(pattern.finditer(host.machine.path("/run/trace").read_text()))
    order = [call.group(1) for call in calls]
    assert order == ["write", "fsync", "rename", "fsync"], calls
    assert re.search(r"fsync\(\d+</srv>\)", calls[-1].group()), calls[-1]


def test_the_agent_is_small_and_leaves_nothing_on_the_machine(host: ManagedHost) -> None:
    role = {"files": {f"/srv/file-{number}": {"content": f"{number}\n" * 500} for number in range(50)}}

    async def work(session: Any) -> int:
        await host.applied(session, role)
        return max(_peak_memory(host.machine))

    assert host.asked(work) < 40 * MEGABYTE
    wait_until(lambda: not _peak_memory(host.machine))  # the agent does not outlive its connection
    left = host.machine.run("find", "/tmp", "/root", "/home", "-name", "*.py", "-o", "-name", "*factory*").stdout
    assert left == ""


def test_a_secret_is_seen_nowhere_but_in_its_file(host: ManagedHost) -> None:
    machine = host.machine
    role = {
        "files": {"/etc/token": {"content": f"{CANARY}\n", "mode": "0600", "secret": True}},
        "steps": {
            "login": {
                "run": ["sh", "-c", "cat >/dev/null; sleep 0.3; echo denied >&2; exit 1"],
                "stdin": CANARY,
                "secret": True,
                "creates": "/etc/logged-in",
            }
        },
    }
    with watched_command_lines(machine) as seen, pytest.raises(HostError) as caught:
        host.apply(role)
    assert CANARY not in str(caught.value)
    assert seen
    assert not [line for line in seen if CANARY in line]
    assert machine.path("/etc/token").read_text() == f"{CANARY}\n"
    assert CANARY not in str(host.planned)
    assert CANARY not in str(host.owned)
    found = machine.run("grep", "-rl", CANARY, "/etc", "/var", "/run", "/tmp", "/root", "/home", check=False).stdout
    assert found.split() == ["/etc/token"]
    assert CANARY not in machine.run("journalctl", "--no-pager", "--boot").stdout


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what is to come; in vain is a failure."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@contextmanager
def watched_command_lines(machine: Machine) -> Iterator[set[str]]:
    """Collect the command lines of all processes on a machine meanwhile."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for process in machine.path("/proc").glob("[0-9]*"):
                try:
                    seen.add((process / "cmdline").read_bytes().decode("utf-8", "replace"))
                    seen.add((process / "environ").read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _peak_memory(machine: Machine) -> list[int]:
    """Bytes that each agent on a machine has used at most."""
    peaks = []
    for process in machine.path("/proc").glob("[0-9]*"):
        try:
            if b"-IS\0-c\0" in (process / "cmdline").read_bytes():
                status = (process / "status").read_text()
                peaks.append(int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024)
        except (OSError, IndexError):
            continue
    return peaks
