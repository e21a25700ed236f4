"""Run Python as a fork of the server: ``client.py -m MODULE ARGS...`` or ``client.py FILE ARGS...``.

This process stands for the fork: it passes signals on, and ends as the fork ends. Its start is time that the fork is to
save, so it is started with ``-I -S`` and imports what is written in C alone: ``json``, ``signal``, ``socket`` and
``typing`` would make it take three times as long.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # has no types of its own: what `signal` has, without the enums
import _socket
import os
import sys

VARIABLE = "FACTORY_FORK_SERVER"
"""Names the server's socket; unset, or with nobody listening there, this process becomes Python itself."""
SIGNALLED = 128
"""A process that signal N ended has this status + N, as in a shell."""
_FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)
_KILLED = SIGNALLED + _signal.SIGKILL
_POLL_SECONDS = 0.5
_PATIENCE = 20
"""So many polls a fork whose engine is dead may take to end by itself."""
_LAST_STREAM = 2
_NUMBER_BYTES = 4
"""Of a C ``int``, in what the kernel is given and gives."""


class Request:
    """What a fork is to be; ``files`` are the numbers under which its client has its open files."""

    def __init__(self, arguments: list[str], directory: str, environment: dict[str, str], files: list[int]) -> None:
        self.arguments = arguments
        self.directory = directory
        self.environment = environment
        self.files = files

    def encode(self) -> bytes:
        """Write it as one message: texts that end with NUL, which none of them can have in it."""
        counted = (self.arguments, [str(number) for number in self.files])
        texts = [self.directory, *(text for texts in counted for text in (str(len(texts)), *texts))]
        texts += [f"{name}={value}" for name, value in self.environment.items()]
        return b"\0".join(map(os.fsencode, texts))

    @classmethod
    def decode(cls, message: bytes) -> Request:
        """Read what `encode` wrote."""
        texts = iter(map(os.fsdecode, message.split(b"\0")))
        directory = next(texts)
        arguments, files = ([next(texts) for _ in range(int(next(texts)))] for _ in range(2))
        environment = dict(text.split("=", 1) for text in texts)
        return cls(arguments, directory, environment, [int(number) for number in files])


def main() -> None:
    """Ask the server for a fork, and stand for it; never returns."""
    arguments = sys.argv[1:]
    parent = os.getppid()
    connection = _connect(os.environ.get(VARIABLE, ""))
    if connection is None:
        os.execv(sys.executable, [sys.executable, "-u", *arguments])  # noqa: S606 - no shell is wanted
    for number in _FORWARDED:
        _signal.signal(number, lambda number, _frame: _pass_on(number, connection))
    connection.settimeout(_POLL_SECONDS)
    patience = _PATIENCE
    while patience:
        try:
            status = connection.recv(1)
        except TimeoutError:
            if os.getppid() != parent:  # the engine is dead
                _pass_on(_signal.SIGTERM, connection)
                patience -= 1
            continue
        except OSError:
            status = b""
        # Nothing comes from a server that has died, and its forks with it.
        os._exit(status[0] if status else _KILLED)
    os._exit(_KILLED)  # the server kills the fork that no longer has a client


def _pass_on(number: int, connection: _socket.socket) -> None:
    try:  # noqa: SIM105 - contextlib imports much
        connection.send(bytes([number]))
    except OSError:
        pass  # the fork has ended, or the server: either is about to be heard


def mine(connection: _socket.socket) -> bool:
    """Whether the process at the other end is this user's: the names of these sockets are everybody's."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 3 * _NUMBER_BYTES)
    user = credentials[_NUMBER_BYTES : 2 * _NUMBER_BYTES]  # between the process and the group
    return int.from_bytes(user, sys.byteorder) == os.getuid()


def _connect(name: str) -> _socket.socket | None:
    """Hand the request over; None if there is no server that takes it."""
    if not name:
        return None
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    files = sorted(number for number in map(int, os.listdir("/proc/self/fd")) if _inherited(number))  # noqa: PTH208 - see above
    request = Request(sys.argv[1:], os.getcwd(), dict(os.environ), files)  # noqa: PTH109 - see above
    numbers = b"".join(number.to_bytes(_NUMBER_BYTES, sys.byteorder) for number in files)
    try:
        connection.connect(f"\0{name}")
        if mine(connection):
            connection.sendmsg([request.encode()], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)])
            for number in files:
                if number > _LAST_STREAM:
                    os.close(
                        number
                    )  # a file of secrets could be read through this process for as long as it stands here
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
