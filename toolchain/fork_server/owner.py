"""The command line's side: a server for as long as a run takes."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from toolchain.paths import ROOT

from .client import VARIABLE

_END_SECONDS = 5


@contextmanager
def fork_server(
    environment: Mapping[str, str], modules: Sequence[str] = (), later: Sequence[str] = ()
) -> Iterator[dict[str, str]]:
    """Start a server with this environment, give the variable by which clients find it, and end it.

    It imports these modules besides what all need, and others after it began to serve files. Its input tells it that
    this process has ended, however it did.
    """
    name = f"factory-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        # No file: nothing is left of a run that is killed. Both sides look whose process the other is.
        listener.bind(f"\0{name}")
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", "toolchain.fork_server", str(listener.fileno()), *modules, "--", *later],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=dict(environment),
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            process_group=0,  # Ctrl-C is for the engine, which then ends its processes
        )
    try:
        yield {VARIABLE: name}
    except BaseException:
        server.kill()  # nothing began, or all is over: nobody waits until it has imported everything
        raise
    finally:
        try:
            server.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
