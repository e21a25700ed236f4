"""What this machine can and cannot run, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import typer

import toolchain
from sandbox.supervisor import TOOLS as BACKEND_TOOLS
from toolchain import cache_dir, state_dir
from toolchain.debian_packages import GATEWAY_PROGRAMS, LONG_TESTS, TEST_MACHINES, program
from toolchain.engine_home import VAULT_PLUGIN, tools
from toolchain.lookup import spec_of

_GIB = 1024**3
_MARGIN = 1 * _GIB
"""For the sandbox's data, and whatever is fetched."""
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
    needed = _room()
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
            free >= needed,
            f"{free / _GIB:.0f} GiB free at {cache_dir()}, {needed / _GIB:.0f} needed",
            "make room, or set FACTORY_CACHE to a larger disk; what is more than 1 GiB is needed while tools are built",
        ),
        Finding("memory", memory >= _MEMORY_NEEDED, f"{memory / _GIB:.0f} GiB", "the sandbox needs 2 GiB, a build 4"),
        Finding("state", os.access(state_dir(), os.W_OK), str(state_dir()), "make it writable or set FACTORY_STATE"),
        _optional("root", os.geteuid() == 0, "uid " + str(os.geteuid()), "host tests need root"),
        _optional(
            "sshd",
            program("sshd") is not None,
            program("sshd") or "no sshd",
            "the sandbox's host and tests over SSH need openssh-server",
        ),
        _programs("machines", TEST_MACHINES, "test machines"),
        _programs("gateway", GATEWAY_PROGRAMS, "tests of a gateway's files"),
        _programs("long", LONG_TESTS, "some of the long tests"),
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


def _room() -> int:
    """Return the bytes that are needed for what `up` and `test` use and is not here: as much as building it takes."""
    wanted = [*tools(sandbox=True), VAULT_PLUGIN, *BACKEND_TOOLS, "kubectl"]
    missing = [spec_of(name) for name in dict.fromkeys(wanted) if toolchain.locate(name) is None]
    return _MARGIN + sum(spec.size + (spec.build.cache_bytes if spec.build else 0) for spec in missing)


def _programs(subject: str, wanted: Mapping[str, str], purpose: str) -> Finding:
    lacking = [name for name in wanted if program(name) is None]
    packages = dict.fromkeys(wanted[name] for name in lacking or wanted)
    found = f"no {', '.join(lacking)}" if lacking else ", ".join(wanted)
    return _optional(subject, not lacking, found, f"{purpose} need root and Debian's {', '.join(packages)}")


def _optional(subject: str, ok: bool, found: str, advice: str) -> Finding:  # noqa: FBT001 - private
    return Finding(subject, ok, found, advice, required=False)
