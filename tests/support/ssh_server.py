"""An OpenSSH server on loopback with keys of its own, for the user who runs the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.web_servers import free_port

_START_SECONDS = 10


@dataclass(frozen=True)
class SshServer:
    """A running server."""

    port: int
    host_key: str
    private_key: str

    @property
    def connection(self) -> dict[str, Any]:
        """How to reach it, as the properties of `ConnectionArgs` are called on the wire."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "hostKey": self.host_key,
            "privateKey": self.private_key,
            "dialErrorLimit": 1,
        }


def sshd() -> str | None:
    """Return the server's program, if this machine has it."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def ssh_server(folder: Path, **further: str) -> Iterator[SshServer]:
    """Run a server whose keys and log lie in the folder; `further` are settings of its configuration file."""
    program = sshd()
    assert program is not None
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    port = free_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "PasswordAuthentication": "no",
        "PidFile": "none",
        "AcceptEnv": "GREETING PULUMI_COMMAND_*",
        "Subsystem": "sftp internal-sftp",
        **further,
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        _wait(port)
        public = " ".join((folder / "host.pub").read_text().split()[:2])
        yield SshServer(port, public, (folder / "user").read_text())
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
