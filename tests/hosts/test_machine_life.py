"""A role on a real machine: made, left alone, changed, repaired, taken away, adopted."""

from __future__ import annotations

from typing import Any

import pytest

from components.host.session import AgentError, HostSession
from tests.hosts.conftest import Repository
from tests.support.machines import Machine
from tests.support.managed_host import Document, ManagedHost, actions, started, trace

SITE = "/etc/web/site.conf"
BANNER = "/etc/web/banner.txt"
SERVICE, IDLE = "web.service", "idle.service"
_SLEEP = {
    "Unit": {"Description": "A service of the tests"},
    "Service": {"ExecStart": "/usr/bin/sleep infinity"},
    "Install": {"WantedBy": "multi-user.target"},
}
FILES = (SITE, BANNER, "/etc/web", "/etc/web/current", "/etc/daemon.json", "/etc/services.local", "/etc/made")


def web(repository: Repository, *, site: str = "listen 80\n", banner: str = "hello\n") -> dict[str, Any]:
    """A role with something of every kind that a container can have."""
    return {
        "repositories": {"tests": repository.item},
        "packages": {"tiny": {"version": "1.0", "hold": True}, "other": {}},
        "groups": {"web": {}},
        "users": {"web": {"group": "web", "system": True, "shell": "/usr/sbin/nologin"}},
        "directories": {"/etc/web": {"mode": "0750", "group": "web"}},
        "files": {
            SITE: {"content": site, "mode": "0640", "group": "web", "validate_with": ["grep", "-q", "listen", "%s"]},
            BANNER: {"content": banner},
        },
        "links": {"/etc/web/current": {"target": "site.conf"}},
        "blocks": {"web": {"path": "/etc/services.local", "content": "web 80/tcp\n"}},
        "merges": {"/etc/daemon.json": {"format": "json", "values": {"log": {"max": 3}}}},
        "sysctl": {"net.ipv4.tcp_syn_retries": {"value": "3"}},
        "units": {
            SERVICE: {"unit": _SLEEP, "enabled": True, "running": True, "restart_on": [f"files:{SITE}"]},
            IDLE: {"unit": _SLEEP, "enabled": True, "running": True, "restart_on": [f"files:{BANNER}"]},
        },
        "steps": {"make": {"run": ["touch", "/etc/made"], "creates": "/etc/made"}},
    }


def foreign(machine: Machine) -> None:
    """What others have on the machine."""
    machine.path("/etc/services.local").write_text("ssh 22/tcp\n")
    machine.path("/etc/daemon.json").write_text('{"debug": true}\n')


def test_a_role_is_made_and_a_second_run_changes_nothing(host: ManagedHost, repository: Repository) -> None:
    machine, role = host.machine, web(repository)
    foreign(machine)
    previewed = host.plan(role)
    assert host.apply(role) == previewed
    assert machine.run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Want}", "tiny").stdout == "1.0 hold"
    assert machine.run("stat", "--format", "%a %U %G", "/etc/web", SITE).stdout == "750 root web\n640 root web\n"
    assert machine.path("/etc/services.local").read_text().startswith("ssh 22/tcp\n")
    assert machine.run("cat", "/proc/sys/net/ipv4/tcp_syn_retries").stdout == "3\n"
    assert machine.run("systemctl", "is-active", SERVICE, IDLE).stdout == "active\nactive\n"
    assert machine.run("systemctl", "is-enabled", SERVICE, IDLE).stdout == "enabled\nenabled\n"

    files, begun = trace(machine, *FILES), [started(machine, unit) for unit in (SERVICE, IDLE)]
    assert host.apply(role) == []
    # Also when nobody remembers what was done: nothing is touched, and nothing is owned that was there before.
    host.owned = {}
    assert host.apply(role) == []
    assert host.read(role) == host.read(role)
    assert trace(machine, *FILES) == files
    assert [started(machine, unit) for unit in (SERVICE, IDLE)] == begun


def test_one_changed_file_touches_itself_and_its_service(host: ManagedHost, repository: Repository) -> None:
    machine = host.machine
    foreign(machine)
    host.apply(web(repository))
    others = [path for path in FILES if path not in {SITE, "/etc/web"}]
    before, idle, served = trace(machine, *others), started(machine, IDLE), started(machine, SERVICE)
    done = host.apply(web(repository, site="listen 81\n"))
    assert done == [f"update files:{SITE}", f"restart units:{SERVICE}"]
    assert machine.path(SITE).read_text() == "listen 81\n"
    assert (trace(machine, *others), started(machine, IDLE)) == (before, idle)
    assert started(machine, SERVICE) != served


def test_what_a_command_refuses_never_replaces_what_is_there(host: ManagedHost, repository: Repository) -> None:
    foreign(host.machine)
    host.apply(web(repository))
    files = [path for path in FILES if path != "/etc/web"]  # where the refused file lay for a moment
    before, served = trace(host.machine, *files), started(host.machine, SERVICE)
    with pytest.raises(AgentError, match=f"{SITE}.*grep"):
        host.apply(web(repository, site="garbage\n"))
    assert (trace(host.machine, *files), started(host.machine, SERVICE)) == (before, served)
    assert host.machine.run("ls", "-A", "/etc/web").stdout.split() == ["banner.txt", "current", "site.conf"]


DRIFT = {
    "content": (["sh", "-c", f"echo hacked >{BANNER}"], f"update files:{BANNER}"),
    "mode": (["chmod", "0666", SITE], f"update files:{SITE}"),
    "owner": (["chown", "daemon", SITE], f"update files:{SITE}"),
    "removed file": (["rm", BANNER], f"create files:{BANNER}"),
    "removed link": (["rm", "/etc/web/current"], "create links:/etc/web/current"),
    "removed lines": (["sed", "-i", "/web/d", "/etc/services.local"], "create blocks:web"),
    "merged key": (["sed", "-i", "s/3/4/", "/etc/daemon.json"], "update merges:/etc/daemon.json"),
    "kernel parameter": (["sysctl", "-q", "net.ipv4.tcp_syn_retries=5"], "update sysctl:net.ipv4.tcp_syn_retries"),
    "stopped unit": (["systemctl", "stop", SERVICE], f"start units:{SERVICE}"),
    "disabled unit": (["systemctl", "disable", SERVICE], f"update units:{SERVICE}"),
    "removed package": (["dpkg", "--purge", "other"], "create packages:other"),
    "upgraded package": (["apt-get", "install", "-qq", "--allow-change-held-packages", "tiny"], "update packages:tiny"),
}


def test_every_drift_is_seen_and_repaired_alone(host: ManagedHost, repository: Repository) -> None:
    machine, role = host.machine, web(repository)
    foreign(machine)
    host.apply(role)
    desired = host.read(role)

    async def refreshed_and_applied(session: HostSession) -> Document:
        found = await host.found(session, role)
        await host.applied(session, role)
        return found

    for name, (command, repair) in DRIFT.items():
        machine.run(*command)
        found = host.asked(refreshed_and_applied)
        kind, _, key = repair.partition(" ")[2].partition(":")
        assert found.get(kind, {}).get(key) != desired[kind][key], name
        # A service follows its file.
        done = [action for action in actions(host.planned[-1]) if not action.startswith("restart ")]
        assert done == [repair], name
    assert host.read(role) == desired


def test_removal_takes_what_the_role_made_and_nothing_else(host: ManagedHost, repository: Repository) -> None:
    machine, role = host.machine, web(repository)
    foreign(machine)
    machine.path(BANNER).parent.mkdir()
    machine.path(BANNER).write_text("hello\n")
    host.apply(role)
    host.apply(role, delete=True)
    assert machine.path("/etc/services.local").read_text() == "ssh 22/tcp\n"
    assert machine.path("/etc/daemon.json").read_text().replace(" ", "").replace("\n", "") == '{"debug":true}'
    assert not machine.path(SITE).exists()
    assert machine.path(BANNER).read_text() == "hello\n", "it was there before"
    assert machine.run("systemctl", "is-active", SERVICE, check=False).stdout == "inactive\n"
    assert "not-found" in machine.run("systemctl", "show", "--property=LoadState", SERVICE).stdout
    for package in ("tiny", "other"):
        assert machine.run("dpkg-query", "-W", package, check=False).returncode == 1
    assert host.plan({"files": {BANNER: {"content": "hello\n"}}}) == []


def test_a_machine_made_by_hand_is_adopted_without_a_change(host: ManagedHost, repository: Repository) -> None:
    machine = host.machine
    machine.path("/etc/apt/keyrings/hand.asc").write_text(repository.signing_key)
    line = "deb [signed-by=/etc/apt/keyrings/hand.asc] file:///srv/packages ./\n"
    machine.path("/etc/apt/sources.list.d/hand.list").write_text(line)
    machine.run("apt-get", "update", "-qq")
    machine.run("apt-get", "install", "-qq", "with-service")
    machine.run("systemctl", "enable", "--now", "with-service")
    machine.run("useradd", "--groups", "daemon", "worker")
    machine.path("/etc/with-service.conf").write_text("by hand\n")
    adopted: dict[str, Any] = {
        "packages": {"with-service": {}},
        "users": {"worker": {"groups": ["daemon"]}},
        "files": {"/etc/with-service.conf": {"content": "by hand\n"}},
        "units": {
            "with-service.service": {
                "enabled": True,
                "running": True,
                "restart_on": ["files:/etc/with-service.conf"],
            }
        },
    }
    before, begun = trace(machine, "/etc/with-service.conf"), started(machine, "with-service.service")
    assert host.plan(adopted) == []
    assert host.apply(adopted) == []
    assert (trace(machine, "/etc/with-service.conf"), started(machine, "with-service.service")) == (before, begun)
    # What was adopted is changed like anything else, and not removed with the role.
    adopted["files"]["/etc/with-service.conf"]["content"] = "by us\n"
    assert host.apply(adopted) == ["update files:/etc/with-service.conf", "restart units:with-service.service"]
    host.apply(adopted, delete=True)
    assert machine.run("systemctl", "is-active", "with-service").stdout == "active\n"
