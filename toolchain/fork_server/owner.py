"""The command line's side: a server for as long as a run takes."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from toolchain.paths import ROOT

from .client import VARIABLE
from .server import FILES

_END_SECONDS = 5


class ForkServer:
    """A server that imports what all need, and is still to be told what else."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._name = name
        self._process = process

    def serve(self, modules: Sequence[str] = (), later: Sequence[str] = ()) -> dict[str, str]:
        """Return the variable by which clients find it; it imports `modules`, begins to serve files, imports `later`.

        To be called once. Without this it answers nobody.
        """
        assert self._process.stdin is not None  # noqa: S101 - as it was started
        with suppress(OSError):  # it has died: then clients find nobody, and do without
            self._process.stdin.write(f"{' '.join([*modules, FILES, *later])}\n".encode())
            self._process.stdin.flush()
        return {VARIABLE: self._name}


@contextmanager
def fork_server(environment: Mapping[str, str]) -> Iterator[ForkServer]:
    """Start a server with this environment, and end it. Its input tells it that this process ended, however it did."""
    name = f"factory-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        # No file: nothing is left of a run that is killed. Both sides look whose process the other is.
        listener.bind(f"\0{name}")
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", "toolchain.fork_server", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=dict(environment),
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            process_group=0,  # Ctrl-C is for the engine, which then ends its processes
        )
    try:
        yield ForkServer(name, server)
    except BaseException:
        server.kill()  # nothing began, or all is over: nobody waits until it has imported everything
        raise
    finally:
        try:
            server.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
