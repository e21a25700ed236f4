"""The ports of the backends: chosen once, kept with the data, so that a restart changes nothing in a plan."""

from __future__ import annotations

import errno
import json
import random
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.files import write_private

LOOPBACK = "127.0.0.1"
PORT_NAMES = ("postgres", "pooler", "vault", "etcd", "etcd-peer", "kube-apiserver", "sshd")

# Below the range from which Linux takes the local ports of outgoing connections (32768 and up): a port kept for a
# stopped sandbox is not handed to somebody else's connection in the meantime.
FIRST_PORT = 20_000
LAST_PORT = 32_000
_HIGHEST_PORT = 65_535

_LISTENING = "0A"


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: connections in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def choose(
    kept: Mapping[str, int], *, free: Callable[[int], bool] = is_free, source: random.Random | None = None
) -> dict[str, int]:
    """Give each backend a port: the one it has, or a free one that no other backend has."""
    source = source or random.SystemRandom()
    ports = {name: kept[name] for name in PORT_NAMES if name in kept}
    candidates = source.sample(range(FIRST_PORT, LAST_PORT), 2_000)
    for name in PORT_NAMES:
        if name in ports:
            continue
        port = next((port for port in candidates if port not in ports.values() and free(port)), None)
        if port is None:
            raise SandboxError(
                f"no free port between {FIRST_PORT} and {LAST_PORT} on {LOOPBACK}: end some of the programs that listen"
            )
        ports[name] = port
    return ports


def load_or_choose(path: Path) -> dict[str, int]:
    """Read the kept ports, choosing and keeping those that are missing; raises `SandboxError` on a damaged file."""
    kept: dict[str, int] = {}
    if path.exists():
        kept = _parse(path)
    ports = choose(kept)
    if ports != kept:
        write_private(path, json.dumps(ports, indent=2).encode() + b"\n")
    return ports


def check_free(ports: Mapping[str, int], path: Path) -> None:
    """Raise `SandboxError` naming each port that a foreign process holds, and who holds it."""
    taken = [(name, port) for name, port in ports.items() if not is_free(port)]
    if not taken:
        return
    lines = "; ".join(f"port {port} ({name}) is in use by {_describe(holder(port))}" for name, port in taken)
    raise SandboxError(
        f"{lines}. End that program, or change the port in {path} (the next plan then shows the new address)"
    )


def holder(port: int) -> tuple[int, str] | None:
    """Find who listens on a port: process id and command name; None where the kernel does not show it."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                target = str(descriptor.readlink())
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    return int(process.name), (process / "comm").read_text().strip()
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes


def _describe(found: tuple[int, str] | None) -> str:
    return f"process {found[0]} ({found[1]})" if found else "another process (not visible to this user)"


def _parse(path: Path) -> dict[str, int]:
    try:
        document = dict(json.loads(path.read_bytes()))
        ports = {name: int(document[name]) for name in PORT_NAMES if name in document}
    except (OSError, ValueError, TypeError) as error:
        raise SandboxError(f"{path} is damaged: delete it and new ports are chosen") from error
    if len(set(ports.values())) != len(ports) or not all(0 < port <= _HIGHEST_PORT for port in ports.values()):
        raise SandboxError(
            f"{path}: ports must be different numbers from 1 to 65535; delete it and new ones are chosen"
        )
    return ports
