"""`python -m bench.hosts_factory`: the work of a benchmark as the provider plugin does it.

Standard input says what and where, standard output how long it took from the first connection on. The process's own
start is not part of it: the plugin is there already when the engine asks for a host.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from components.host.agent import OUR_BYTECODE, bundle, split
from components.host.args import HostStateArgs
from components.host.pool import HostPool
from components.host.remote_host import RemoteHost
from components.host.session import HostSession
from components.host.transport_ssh import Login, SshTransport

_KEY = "00" * 32


async def apply(document: Mapping[str, Any], hosts: Sequence[Mapping[str, Any]]) -> float:
    """Bring the document about on every host at once; returns seconds."""
    request, blobs = split(document)
    machines = [RemoteHost.model_validate(host) for host in hosts]
    pool = HostPool()
    bundle(OUR_BYTECODE)  # what the plugin makes when it starts
    begun = time.monotonic()

    async def never() -> None:
        await asyncio.Event().wait()

    async def one(machine: RemoteHost) -> None:
        session: HostSession = await pool.session(machine, Login())
        asked = {"document": request, "resource": "bench", "owned": {}, "key": _KEY}
        await session.apply(asked, blobs, planned=_accept, progress=lambda _line: None, stop=never)

    try:
        await asyncio.gather(*(one(machine) for machine in machines))
        return time.monotonic() - begun
    finally:
        await pool.close()


async def connect(hosts: Sequence[Mapping[str, Any]]) -> float:
    """Connect to the first host and do nothing; returns seconds."""
    transport = SshTransport(RemoteHost.model_validate(hosts[0]))
    begun = time.monotonic()
    try:
        await transport.connect()
        return time.monotonic() - begun
    finally:
        await transport.close()


def _accept(plan: Mapping[str, Any]) -> None:
    if plan["plan"]["problems"]:
        raise ValueError(str(plan["plan"]["problems"]))


def main() -> None:
    """Do what standard input asks for."""
    order = json.load(sys.stdin)
    if order["document"] is None:
        seconds = asyncio.run(connect(order["hosts"]))
    else:
        document = HostStateArgs.model_validate(order["document"]).document()
        seconds = asyncio.run(apply(document, order["hosts"]))
    print(seconds)


if __name__ == "__main__":
    main()
