"""Programs that the sandbox and the tests need beside the tools: Debian's packages, installed when that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from toolchain.progress import Report

_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")

SSH_SERVER = {"sshd": "openssh-server"}
TEST_MACHINES = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "gpg": "gnupg",
    # What a recovery on a machine runs.
    "rsync": "rsync",
    "strace": "strace",
    # A gateway's disk.
    "losetup": "mount",
    "partx": "util-linux",
    "mkfs.ext4": "e2fsprogs",
}
"""What test machines are made of, each program with the package that brings it."""
GATEWAY_PROGRAMS = {
    "nginx": "nginx-light",
    "dnsmasq": "dnsmasq-base",
    "dig": "bind9-dnsutils",
    "nft": "nftables",
    "ip": "iproute2",
    "logrotate": "logrotate",
    "openssl": "openssl",
    # What asks it.
    "curl": "curl",
}
"""What reads a gateway's files, for their tests."""
LONG_TESTS = {"chromium": "chromium", "dockerd": "docker.io", "busybox": "busybox-static"}
"""What long tests alone ask: a browser that shows the page of routes, and a daemon whose labels are read."""


def program(name: str) -> str | None:
    """Look a program up on PATH and where Debian puts what only root runs."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS]))


def provide_ssh_server(report: Report) -> bool:
    """Make sure that there is an `sshd` for the sandbox's host and for tests, or say why there is none.

    It is installed by root only; nothing of it is started. Without it the sandbox has no host and those tests are
    skipped, which `status` and `doctor` report.
    """
    return _provide(SSH_SERVER, "what runs over SSH", report)


def provide_test_machines(report: Report) -> bool:
    """Make sure that test machines can be made here, or say why they cannot.

    They take root: for another user their tests are skipped, which `doctor` reports.
    """
    if os.geteuid() != 0:
        report("test machines need root: their tests are skipped")
        return False
    return _provide(TEST_MACHINES, "test machines", report)


def provide_gateway_programs(report: Report) -> bool:
    """Make sure that the programs that read a gateway's files are here, or say why they are not."""
    return _provide(GATEWAY_PROGRAMS, "what a gateway runs", report)


def provide_long_tests(report: Report) -> bool:
    """Make sure that the programs that long tests alone ask are here, or say why they are not."""
    return _provide(LONG_TESTS, "a browser and a container daemon for the long tests", report)


def _provide(wanted: Mapping[str, str], purpose: str, report: Report) -> bool:
    missing = {name: package for name, package in wanted.items() if program(name) is None}
    if not missing:
        return True
    packages = " ".join(missing.values())
    apt = program("apt-get")
    if os.geteuid() != 0 or apt is None:
        report(f"no {', '.join(missing)}, so without {purpose}; on Debian, root installs {packages}")
        return False
    report(f"installing Debian's {packages}, for {purpose}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing.values()]):
        done = subprocess.run([apt, *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            report(f"apt-get {arguments[0]} failed ({' '.join(last)}), so without {purpose}")
            return False
    return all(program(name) for name in wanted)
