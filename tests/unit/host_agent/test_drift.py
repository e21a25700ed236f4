"""What `read` shows of a machine of doubles: only what differs, in the document's own shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.host.agent.drift import drift
from tests.support.host_machine import Driver, Machine

PACKAGES: dict[str, tuple[str, str | None]] = {"nginx": ("1.22", "nginx.service"), "jq": ("1.6", None)}
KEYS = {"ann": "ssh-ed25519 AAAAC3one ann", "bob": "ssh-ed25519 AAAAC3two bob"}
ROLE: dict[str, Any] = {
    "repositories": {"r": {"uris": ["file:///srv/r"], "suites": ["./"], "trusted": True}},
    "packages": {"jq": {"hold": True}, "nginx": {}},
    "groups": {"app": {"gid": 900}},
    "users": {"ann": {"groups": ["adm"], "shell": "/bin/bash"}},
    "authorized_keys": {"ann": {"keys": KEYS}},
    "modules": {"dm_crypt": {}},
    "mounts": {"/mnt/a": {"source": "LABEL=a", "fstype": "ext4", "options": ["noatime"]}},
    "sysctl": {"net.ipv4.ip_forward": {"value": "1"}},
    "units": {"nginx.service": {"enabled": True, "running": True, "drop_ins": {"a": {"Service": {"Nice": "1"}}}}},
    "files": {"/etc/away": {"state": "absent"}},
}


def edit(root: Path, path: str, old: str, new: str) -> None:
    (root / path).write_text((root / path).read_text().replace(old, new))


DRIFTS: dict[str, tuple[Callable[[Machine], object], dict[str, Any]]] = {
    "nothing": (lambda _: None, {}),
    "repository edited": (
        lambda machine: edit(machine.root, "etc/apt/sources.list.d/factory-r.sources", "Trusted: yes\n", ""),
        {"repositories": {"r": {"content": "Types: deb\nURIs: file:///srv/r\nSuites: ./\n"}}},
    ),
    "package removed": (lambda machine: machine.installed.pop("jq"), {"packages": {"jq": None}}),
    "package no longer held": (
        lambda machine: machine.installed["jq"].update(held=False),
        {"packages": {"jq": {"hold": False}}},
    ),
    "group renumbered": (
        lambda machine: edit(machine.root, "etc/group", ":900:", ":901:"),
        {"groups": {"app": {"gid": 901}}},
    ),
    "shell": (
        lambda machine: edit(machine.root, "etc/passwd", "/bin/bash", "/bin/zsh"),
        {"users": {"ann": {"shell": "/bin/zsh"}}},
    ),
    "left a group": (
        lambda machine: edit(machine.root, "etc/group", "adm:x:4:ann", "adm:x:4:"),
        {"users": {"ann": {"groups": []}}},
    ),
    "key removed": (
        lambda machine: edit(machine.root, "home/ann/.ssh/authorized_keys", KEYS["bob"] + "\n", ""),
        {"authorized_keys": {"ann": {"keys": {"ann": KEYS["ann"]}}}},
    ),
    "module unloaded": (
        lambda machine: (machine.root / "sys/module/dm_crypt").rmdir(),
        {"modules": {"dm_crypt": {"loaded": False}}},
    ),
    "unmounted": (
        lambda machine: (machine.root / "proc/self/mountinfo").write_text(""),
        {"mounts": {"/mnt/a": {"mounted": False}}},
    ),
    "mount options": (
        lambda machine: edit(machine.root, "etc/fstab", "noatime,nofail", "noatime,ro"),
        {"mounts": {"/mnt/a": {"options": ["noatime", "ro"], "nofail": False}}},
    ),
    "parameter": (
        lambda machine: (machine.root / "proc/sys/net/ipv4/ip_forward").write_text("0\n"),
        {"sysctl": {"net.ipv4.ip_forward": {"value": "0"}}},
    ),
    "stopped and disabled": (
        lambda machine: machine.units["nginx.service"].update(active=False, enabled=False),
        {"units": {"nginx.service": {"enabled": False, "running": False}}},
    ),
    "drop-in removed": (
        lambda machine: (machine.root / "etc/systemd/system/nginx.service.d/a.conf").unlink(),
        {"units": {"nginx.service": {"drop_ins": {}}}},
    ),
    "unwanted file": (
        lambda machine: (machine.root / "etc/away").write_text("x"),
        {"files": {"/etc/away": {"state": "present"}}},
    ),
}


@pytest.mark.parametrize(("change", "expected"), DRIFTS.values(), ids=DRIFTS)
def test_drift(tmp_path: Path, change: Callable[[Machine], object], expected: dict[str, Any]) -> None:
    machine = Machine(tmp_path, PACKAGES)
    driver = Driver.on(machine)
    driver.apply(ROLE)
    change(machine)
    assert drift(driver.host, driver.plan(ROLE)) == expected
    driver.apply(ROLE)
    assert drift(driver.host, driver.plan(ROLE)) == {}
