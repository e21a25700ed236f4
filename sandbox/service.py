"""What one backend's process is: program, arguments, user, signals. Data, no behaviour."""

from __future__ import annotations

import os
import pwd
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sandbox import launch

UNPRIVILEGED_USER = "nobody"
_OVERFLOW_ID = 65_534


@dataclass(frozen=True)
class Service:
    """One process the supervisor runs. No secret may stand in `argv`: every user of the machine can read it."""

    name: str
    argv: tuple[str, ...]
    address: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    unprivileged: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    # Sent by the kernel when the supervisor dies.
    death_signal: signal.Signals = signal.SIGKILL

    def command(self) -> list[str]:
        """Return the command that turns into the backend."""
        return launched(self.argv, unprivileged=self.unprivileged, death_signal=self.death_signal)

    def full_environment(self) -> dict[str, str]:
        """Return the backend's whole environment; the caller's own, which may hold secrets, is not passed on."""
        return {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC", **self.environment}


def launched(argv: tuple[str, ...], *, unprivileged: bool, death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the command that runs `argv` as a child whose life is tied to this process."""
    user = unprivileged_user() if unprivileged else None
    return [
        sys.executable,
        "-I",
        "-S",
        launch.__file__,
        str(os.getpid()),
        str(int(death_signal)),
        f"{user[0]}:{user[1]}" if user else launch.KEEP_USER,
        "--",
        *argv,
    ]


@cache
def unprivileged_user() -> tuple[int, int] | None:
    """Return uid and gid for the backends that refuse root; None when this process is not root anyway."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        return _OVERFLOW_ID, _OVERFLOW_ID
    return entry.pw_uid, entry.pw_gid


def hand_over(path: Path) -> None:
    """Give a file or directory to the user of the unprivileged backends; never what a link leads to."""
    if (user := unprivileged_user()) is not None:
        os.chown(path, *user, follow_symlinks=False)
