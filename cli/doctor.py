"""What this machine can and cannot run, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

import toolchain
from toolchain import cache_dir, state_dir
from toolchain.debian_packages import TEST_MACHINES, program

_GIB = 1024**3
# The cached binaries (0.9 GB) and, only while they are built, the module and build caches.
_DISK_NEEDED = 12 * _GIB
_MEMORY_NEEDED = 4 * _GIB


@dataclass(frozen=True)
class Finding:
    """One fact about the machine. A finding that is not ok but optional costs a feature, not the whole."""

    subject: str
    ok: bool
    found: str
    advice: str
    required: bool = True


def findings() -> list[Finding]:
    """Examine the machine, read-only."""
    linux = sys.platform == "linux"
    system = f"{platform.system()} {platform.machine()}"
    free = shutil.disk_usage(cache_dir()).free
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lacking = [name for name in TEST_MACHINES if program(name) is None]
    packages = [TEST_MACHINES[name] for name in lacking or TEST_MACHINES]
    return [
        Finding("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer"),
        Finding(
            "platform",
            linux and platform.machine() in {"x86_64", "aarch64"},
            system,
            "the sandbox runs on Linux x86-64 and arm64; remote sites are managed from here with the official pulumi",
        ),
        Finding(
            "disk",
            free >= _DISK_NEEDED,
            f"{free / _GIB:.0f} GiB free at {cache_dir()}",
            "free 12 GiB, or set FACTORY_CACHE to a larger disk (needed while tools are built, 1 GiB afterwards)",
        ),
        Finding("memory", memory >= _MEMORY_NEEDED, f"{memory / _GIB:.0f} GiB", "the sandbox needs 2 GiB, a build 4"),
        Finding("state", os.access(state_dir(), os.W_OK), str(state_dir()), "make it writable or set FACTORY_STATE"),
        _optional("root", os.geteuid() == 0, "uid " + str(os.geteuid()), "host tests need root"),
        _optional(
            "docker",
            Path("/var/run/docker.sock").exists(),
            shutil.which("docker") or "no docker",
            "container tests need a running Docker daemon",
        ),
        _optional(
            "sshd",
            program("sshd") is not None,
            program("sshd") or "no sshd",
            "the sandbox's host and tests over SSH need openssh-server",
        ),
        _optional(
            "machines",
            not lacking,
            f"no {', '.join(lacking)}" if lacking else "systemd-nspawn and what it needs",
            f"test machines need root and Debian's {', '.join(packages)}",
        ),
        _optional(
            "pgbouncer",
            toolchain.locate("pgbouncer") is not None,
            "there" if toolchain.locate("pgbouncer") else "none",
            "without pgbouncer the pooler hop of the login chain is not covered",
        ),
    ]


def examine(*, as_json: bool) -> int:
    """Print the findings; the status is 1 if a required one is not met."""
    found = findings()
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            word = "ok" if finding.ok else "MISSING" if finding.required else "absent"
            advice = "" if finding.ok else f"  -> {finding.advice}"
            typer.echo(f"{word:8}{finding.subject:11}{finding.found}{advice}")
    return 0 if all(finding.ok or not finding.required for finding in found) else 1


def _optional(subject: str, ok: bool, found: str, advice: str) -> Finding:  # noqa: FBT001 - private
    return Finding(subject, ok, found, advice, required=False)
