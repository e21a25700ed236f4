"""Programs that the tests need beside the tools: Debian's packages, installed when that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess

from cli.session import Report

_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")


def program(name: str) -> str | None:
    """Look a program up on PATH and where Debian puts what only root runs."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS]))


def provide_ssh_server(report: Report) -> bool:
    """Make sure that there is an `sshd` for the tests of remote commands, or say why there is none.

    It is installed by root only; nothing of it is started. Without it those tests are skipped, which `doctor` reports.
    """
    if program("sshd"):
        return True
    apt = program("apt-get")
    if os.geteuid() != 0 or apt is None:
        report("there is no sshd: tests of remote commands are skipped; on Debian, root installs openssh-server")
        return False
    report("installing Debian's openssh-server, for tests of remote commands")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "openssh-server"]):
        done = subprocess.run([apt, *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            report(f"apt-get {arguments[0]} failed ({' '.join(last)}); tests of remote commands are skipped")
            return False
    return program("sshd") is not None
