"""The file system that all test machines start from: Debian with systemd, OpenSSH, sudo and Python, made once per user.

It lies in the user's cache under a key made of its recipe and is never written again. Making it takes root and Debian's
`mmdebstrap`. What a gateway installs lies in it as packages, ready to be installed by whoever adds the source.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.apt_repository import write_index
from toolchain.lock import exclusive
from toolchain.paths import cache_dir

SUITE = "bookworm"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "python3",
    "python3-apt",
    "iproute2",
    "kmod",
    "procps",
    "strace",
    # What a gateway's checks, disk and containers run.
    "bind9-dnsutils",
    "curl",
    "e2fsprogs",
    "fdisk",
    "logrotate",
    "nginx-light",
    "openssl",
    "python3-yaml",
)
OFFERED = ("avahi-daemon", "avahi-utils", "dnsmasq", "nftables")
"""Packages of services, with all they need: not installed, but in `SHELF`."""
SHELF = "/srv/debian"
"""Where a machine has them, as a repository without a signature."""
_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer")
# What a container has no use for, and what would make its boot slower or `degraded`.
_MASKED = (
    *_TIMERS,
    "console-getty.service",
    "dev-hugepages.mount",
    "e2scrub_reap.service",
    "getty.target",
    "nginx.service",
    "remote-fs.target",
    "sys-fs-fuse-connections.mount",
    "systemd-firstboot.service",
    "systemd-journal-flush.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-pstore.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
)
_LEFT_OUT = ("doc", "info", "locale", "man")
DEPLOYER = "deployer"
"""Who may become root without a password."""
CAREFUL = "careful"
"""Who may become root with a password, `PASSWORD`."""
PASSWORD = "only-in-tests"
_SECONDS = 900
# Run by mmdebstrap with the new root as its argument, while it still has its sources.
_OFFER = f"""\
set -e
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get clean
apt-get install --yes --quiet=2 --no-install-recommends --download-only {" ".join(OFFERED)} >&2
mkdir "$1{SHELF}"
mv "$1"/var/cache/apt/archives/*.deb "$1{SHELF}"
"""


def image(report: Callable[[str], None] = lambda line: print(line, file=sys.stderr)) -> Path:
    """Return the root directory of the image; it is made when this user has none of this recipe."""
    folder = cache_dir() / "machines"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / recipe_key()
    if target.is_dir():
        return target
    with exclusive(folder / "lock", report):
        if not target.is_dir():
            report("making the image of the test machines, about a minute; it is kept for later runs")
            start = time.monotonic()
            unfinished = folder / f".{target.name}"
            shutil.rmtree(unfinished, ignore_errors=True)
            _install(unfinished)
            _prepare(unfinished)
            unfinished.rename(target)
            report(f"the image took {time.monotonic() - start:.0f} s")
    return target


def recipe_key() -> str:
    """Name the image after all that decides what is in it: this file."""
    recipe = inspect.getsource(sys.modules[__name__])
    return f"{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _install(root: Path) -> None:
    options = ['--aptopt=Acquire::Languages "none"', "--dpkgopt=force-unsafe-io"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        f"--customize-hook={_OFFER}",
        *options,
        SUITE,
        str(root),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        raise RuntimeError(f"mmdebstrap could not make the image of the test machines:\n{done.stderr[-2000:]}")


def _prepare(root: Path) -> None:
    """Give the image its users, keep it off every network, and leave out what slows the boot."""
    # No source but those that a test adds: nothing is ever fetched by a test machine.
    (root / "etc/apt/sources.list").write_text("")
    write_index(root / SHELF.lstrip("/"))
    # Each boot is a first one, but with an identity that does not have to be made first.
    (root / "etc/machine-id").write_text(f"{hashlib.sha256(SUITE.encode()).hexdigest()[:32]}\n")
    units = root / "etc/systemd/system"
    for name in _MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to(os.devnull)
    default = units / "default.target"
    default.unlink(missing_ok=True)
    default.symlink_to("/lib/systemd/system/multi-user.target")
    for name in (DEPLOYER, CAREFUL):
        _inside(root, "useradd", "--create-home", "--shell", "/bin/bash", name)
    _inside(root, "chpasswd", typed=f"{CAREFUL}:{PASSWORD}\n")
    _private(root / "etc/sudoers.d/tests", f"{DEPLOYER} ALL=(ALL) NOPASSWD: ALL\n{CAREFUL} ALL=(ALL) ALL\n", 0o440)
    settings = (
        "UseDNS no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nMaxStartups 100\nMaxSessions 100\n"
    )
    _private(root / "etc/ssh/sshd_config.d/tests.conf", settings, 0o644)
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)


def _inside(root: Path, *command: str, typed: str = "") -> None:
    subprocess.run(["chroot", str(root), *command], check=True, input=typed, text=True, timeout=_SECONDS)


def _private(path: Path, content: str, mode: int) -> None:
    path.write_text(content)
    path.chmod(mode)
