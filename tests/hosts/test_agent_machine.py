"""The agent on a real machine: the items for which a directory is not enough."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from components.host.session import AgentError
from tests.support.managed_host import ManagedHost, started

UNIT = "loop.service"
BODY = "Hello from the machine itself\n"
SLEEP: dict[str, Any] = {
    "Service": {"ExecStart": "/usr/bin/sleep infinity", "ExecReload": "/usr/bin/touch /run/reloaded"}
}


def key(host: ManagedHost) -> str:
    return host.machine.keys.client.with_suffix(".pub").read_text().strip()


def test_a_user_with_a_key_can_log_in_and_loses_it_again(host: ManagedHost) -> None:
    host.machine.run("mkdir", "/srv/people")
    role = {
        "users": {"ann": {"home": "/srv/people/ann", "shell": "/bin/bash", "groups": ["daemon"], "comment": "Ann A."}},
        "authorized_keys": {"ann": {"keys": {"laptop": key(host)}}},
    }
    assert host.apply(role) == ["create users:ann", "create authorized_keys:ann"]
    assert host.apply(role) == []
    assert host.machine.run(
        "stat", "--format", "%a %U %G", "/srv/people/ann/.ssh", "/srv/people/ann/.ssh/authorized_keys"
    ).stdout == ("700 ann ann\n600 ann ann\n")
    as_ann = ManagedHost.of(host.machine, user="ann")
    assert as_ann.plan({"files": {"/srv/people/ann/x": {"content": "x"}}}) == ["create files:/srv/people/ann/x"]
    assert host.apply({"users": role["users"]}) == ["delete authorized_keys:ann"]
    assert host.machine.path("/srv/people/ann/.ssh/authorized_keys").read_text() == ""


def test_a_link_of_a_user_leads_nowhere(host: ManagedHost) -> None:
    """Whoever owns a home must not steer where root writes."""
    host.machine.run("mkdir", "/srv/people")
    host.machine.run("useradd", "--create-home", "--home-dir", "/srv/people/eve", "eve")
    host.machine.run("ln", "-s", "/etc", "/srv/people/eve/.ssh")
    with pytest.raises(AgentError, match="nothing is written through it"):
        host.apply({"authorized_keys": {"eve": {"keys": {"laptop": key(host)}}}})


def test_a_mount_is_made_changed_and_taken_away(host: ManagedHost) -> None:
    point = "/mnt/my data"
    role: dict[str, Any] = {"mounts": {point: {"source": "tmpfs", "fstype": "tmpfs", "options": ["size=1m"]}}}
    assert host.apply(role) == [f"create mounts:{point}"]
    assert host.apply(role) == []
    assert host.machine.run("findmnt", "-n", "-o", "FSTYPE,SIZE", point).stdout.split() == ["tmpfs", "1M"]
    role["mounts"][point]["options"] = ["size=2m"]
    assert host.apply(role) == [f"update mounts:{point}"]
    assert host.machine.run("findmnt", "-n", "-o", "SIZE", point).stdout.split() == ["2M"]
    host.machine.run("umount", point)
    assert host.apply(role) == [f"update mounts:{point}"]
    assert host.apply({}) == [f"delete mounts:{point}"]
    assert host.machine.run("findmnt", point, check=False).returncode == 1
    assert "tmpfs" not in host.machine.path("/etc/fstab").read_text()


def test_a_mount_of_a_device_that_is_not_there_is_told(host: ManagedHost) -> None:
    with pytest.raises(AgentError, match=r"mounts:/mnt/disk: /mnt/disk is not mounted: LABEL=nonesuch is not there"):
        host.apply({"mounts": {"/mnt/disk": {"source": "LABEL=nonesuch", "fstype": "ext4"}}})


def test_a_kernel_module_that_cannot_be_had_is_told_by_modprobe_itself(host: ManagedHost) -> None:
    """That one is loaded is proven with doubles: not every kernel that tests run on has modules."""
    role: dict[str, Any] = {"modules": {"nonesuch": {}}, "files": {"/srv/after": {"content": "x"}}}
    with pytest.raises(AgentError, match=r"modules:nonesuch.*nonesuch not found") as caught:
        host.apply(role)
    assert caught.value.details["command"] == ["modprobe", "nonesuch"]
    assert caught.value.details["not_applied"] == ["modules:nonesuch", "files:/srv/after"]
    assert host.plan(role) == ["update modules:nonesuch", "create files:/srv/after"], "the next run tries again"
    # What asked for it at each start goes with it.
    assert host.apply({}) == ["delete modules:nonesuch"]
    assert not list(host.machine.path("/etc/modules-load.d").glob("factory-*"))


def test_drop_in_reload_mask_and_order(host: ManagedHost) -> None:
    role: dict[str, Any] = {
        "files": {"/etc/loop.conf": {"content": "1"}},
        "units": {UNIT: {"unit": SLEEP, "running": True, "reload_on": ["files:/etc/loop.conf"]}},
    }
    host.apply(role)
    begun = started(host.machine, UNIT)
    role["files"]["/etc/loop.conf"]["content"] = "2"
    assert host.apply(role) == ["update files:/etc/loop.conf", f"reload units:{UNIT}"]
    assert host.machine.path("/run/reloaded").exists()
    assert started(host.machine, UNIT) == begun
    role["units"][UNIT]["drop_ins"] = {"memory": {"Service": {"MemoryMax": "64M"}}}
    assert host.apply(role) == [f"update units:{UNIT}", f"restart units:{UNIT}"]
    assert host.machine.run("systemctl", "show", "-P", "MemoryMax", UNIT).stdout == f"{64 * 1024 * 1024}\n"
    assert host.apply(role) == []
    host.machine.path(f"/etc/systemd/system/{UNIT}.d/memory.conf").write_text("[Service]\nMemoryMax=32M\n")
    assert host.read(role)["units"][UNIT]["drop_ins"] == {"memory": {"Service": {"MemoryMax": "32M"}}}
    del role["units"][UNIT]["drop_ins"]
    assert host.apply(role) == [f"update units:{UNIT}", f"restart units:{UNIT}"]
    assert host.machine.run("systemctl", "show", "-P", "MemoryMax", UNIT).stdout == "infinity\n"
    masked = {"units": {"systemd-tmpfiles-clean.timer": {"masked": True}}}
    with_mask = {**role, "units": {**role["units"], **masked["units"]}}
    done = host.apply(with_mask)
    assert done[0] == "update units:systemd-tmpfiles-clean.timer"
    assert host.apply(with_mask) == []
    assert host.machine.run("systemctl", "is-enabled", "systemd-tmpfiles-clean.timer", check=False).stdout == "masked\n"


def test_a_service_that_does_not_stay_up_is_told_with_its_log(host: ManagedHost) -> None:
    failing = {"Service": {"Type": "simple", "ExecStart": "/bin/sh -c 'echo out of cheese >&2; exit 3'"}}
    role = {"units": {UNIT: {"unit": failing, "running": True}}}
    with pytest.raises(AgentError, match=f"{UNIT} started and failed at once") as caught:
        host.apply(role)
    assert caught.value.details["item"] == f"units:{UNIT}"
    assert "out of cheese" in "".join(caught.value.details["stderr"])
    assert host.plan(role) == [f"start units:{UNIT}"], "the next run tries again"


def test_a_download_is_fetched_by_the_host_and_checked(host: ManagedHost) -> None:
    host.machine.run("mkdir", "-p", "/srv/www")
    host.machine.path("/srv/www/tool").write_text(BODY)
    good, bad = hashlib.sha256(BODY.encode()).hexdigest(), "0" * 64
    server = {"Service": {"ExecStart": "/usr/bin/python3 -m http.server 8099 --bind 127.0.0.1 --directory /srv/www"}}
    host.apply({"units": {"www.service": {"unit": server, "running": True}}})
    host.machine.run("timeout", "20", "bash", "-c", "until : </dev/tcp/127.0.0.1/8099; do sleep 0.05; done")
    tool = {"url": "http://127.0.0.1:8099/tool", "sha256": good, "mode": "0755"}
    role: dict[str, Any] = {"downloads": {"/usr/local/bin/tool": tool}}
    host.owned = {}
    assert host.apply(role) == ["create downloads:/usr/local/bin/tool"]
    assert host.apply(role) == []
    assert host.machine.path("/usr/local/bin/tool").read_text() == BODY
    with pytest.raises(AgentError, match=f"SHA-256 {good}, expected is {bad}"):
        host.apply({"downloads": {"/usr/local/bin/tool": {**tool, "sha256": bad}}})
    assert host.machine.path("/usr/local/bin/tool").read_text() == BODY
    with pytest.raises(AgentError, match="the server answered 404"):
        host.apply({"downloads": {"/usr/local/bin/none": {**tool, "url": "http://127.0.0.1:8099/none"}}})


def test_a_package_that_brings_what_the_role_needs(host: ManagedHost, repository: Any) -> None:
    """One run: the repository, the package, its unit switched off, lines in the file that it ships."""
    role = {
        "repositories": {"tests": repository.item},
        "packages": {"with-service": {}},
        "units": {"with-service.service": {"enabled": False, "running": False}},
        "blocks": {"ours": {"path": "/etc/with-service.conf", "content": "ours\n"}},
    }
    host.apply(role)
    assert host.machine.path("/etc/with-service.conf").read_text() == (
        "shipped\n# BEGIN factory ours\nours\n# END factory ours\n"
    )
    state = host.machine.run("systemctl", "show", "-P", "UnitFileState,ActiveState", "with-service.service").stdout
    assert state.split() == ["disabled", "inactive"] or "disabled" in state
    assert host.apply(role) == []
