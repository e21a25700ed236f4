"""Serve `pulumirpc.LanguageRuntime` on loopback and print the port, as the engine expects of a language host."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import grpc
from pulumi.runtime.proto import language_pb2_grpc

from toolchain.language_host.host import PythonHost

_PARENT_POLL_SECONDS = 0.5


def _exit_at_once(_signal: int = 0, _frame: FrameType | None = None) -> None:
    # The engine waits 15 s and more for a host that handles the signal politely, and 5 s for whoever keeps this
    # process's standard output open: a program that the policy pack has refused, for instance.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main() -> None:
    """Run until the engine ends this process, or itself."""
    engine = os.getppid()
    signal.signal(signal.SIGINT, _exit_at_once)
    signal.signal(signal.SIGTERM, _exit_at_once)
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(PythonHost(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while os.getppid() == engine:
        server.wait_for_termination(_PARENT_POLL_SECONDS)
    _exit_at_once()


if __name__ == "__main__":
    main()
