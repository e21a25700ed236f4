"""The process of a plugin: it prints its port, serves, and is gone at once when the engine is done with it."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from .handler import Provider
from .server import MESSAGE_LIMITS, Server

_THREADS: Final = 64
"""Requests at a time: more than the engine sends by default on a small machine; most of them wait for a backend."""
_PARENT_POLL_SECONDS: Final = 0.5


def serve(provider: Provider) -> NoReturn:
    """Serve a provider until a signal comes or the engine ends; the first line of the output is the port.

    The engine waits for a plugin which ignores its SIGINT, so this one answers it by leaving.
    """
    parent = os.getppid()  # asked first: an engine which dies during the start is noticed too
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: done.set())
    engine_address = sys.argv[1] if len(sys.argv) > 1 else ""
    service = Server(provider, engine_address)
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=MESSAGE_LIMITS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while os.getppid() == parent and not done.wait(_PARENT_POLL_SECONDS):
        pass
    service.cancelled.set()
    provider.close()
    os._exit(0)  # not sys.exit: that would wait for requests in flight
