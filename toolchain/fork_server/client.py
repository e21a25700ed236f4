"""Run Python as a fork of the server: ``client.py -m MODULE ARGS...`` or ``client.py FILE ARGS...``.

This process stands for the fork: it passes signals on, and ends as the fork ends. It is started with ``-I -S`` and
imports little, because its start is time that the fork is to save.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import sys
from typing import NoReturn

VARIABLE = "FACTORY_FORK_SERVER"
"""Names the server's socket; unset, or with nobody listening there, this process becomes Python itself."""
SIGNALLED = 128
"""A process that signal N ended has this status + N, as in a shell."""
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KILLED = SIGNALLED + signal.SIGKILL
_POLL_SECONDS = 0.5
_PATIENCE = 20
"""So many polls a fork whose engine is dead may take to end by itself."""


def main() -> NoReturn:
    """Ask the server for a fork, and stand for it."""
    arguments = sys.argv[1:]
    parent = os.getppid()
    connection = _connect(os.environ.get(VARIABLE, ""))
    if connection is None:
        os.execv(sys.executable, [sys.executable, "-u", *arguments])  # noqa: S606 - no shell is wanted
    for number in _FORWARDED:
        signal.signal(number, lambda number, _frame: _pass_on(number, connection))
    connection.settimeout(_POLL_SECONDS)
    patience = _PATIENCE
    while patience:
        try:
            status = connection.recv(1)
        except TimeoutError:
            if os.getppid() != parent:  # the engine is dead
                _pass_on(signal.SIGTERM, connection)
                patience -= 1
            continue
        except OSError:
            status = b""
        # Nothing comes from a server that has died, and its forks with it.
        os._exit(status[0] if status else _KILLED)
    os._exit(_KILLED)  # the server kills the fork that no longer has a client


def _pass_on(number: int, connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the fork has ended, or the server: either is about to be heard
        connection.send(bytes([number]))


def mine(connection: socket.socket) -> bool:
    """Whether the process at the other end is this user's: the names of these sockets are everybody's."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return bool(user == os.getuid())


def _connect(name: str) -> socket.socket | None:
    """Hand the request over; None if there is no server that takes it."""
    if not name:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    files = sorted(number for number in map(int, os.listdir("/proc/self/fd")) if _inherited(number))  # noqa: PTH208 - pathlib doubles the start-up time
    request = {
        "arguments": sys.argv[1:],
        "directory": os.getcwd(),  # noqa: PTH109 - see above
        "environment": dict(os.environ),
        "files": files,
    }
    try:
        connection.connect(f"\0{name}")
        if mine(connection):
            socket.send_fds(connection, [json.dumps(request).encode()], files)
            return connection
    except OSError:
        pass
    connection.close()
    return None


def _inherited(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:
        return False  # the listing's own


if __name__ == "__main__":
    main()
