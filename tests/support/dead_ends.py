"""Ports of this machine that lead nowhere, each in its own way."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from tests.support.web_servers import LOOPBACK

_CLIENTS = 4


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """Give a port that refuses connections, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield int(held.getsockname()[1])


@contextlib.contextmanager
def taking() -> Iterator[int]:
    """Give a port that takes connections, and says nothing on them."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield int(listener.getsockname()[1])


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Give a port that answers no packet, as behind a firewall: its queue of connections is full and stays so."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server((LOOPBACK, 0), backlog=0))
        for _ in range(_CLIENTS):
            client = opened.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
