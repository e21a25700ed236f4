"""The supervisor: brings the backends up side by side, watches them, and takes them down in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from sandbox.backends import addresses, etcd, kubernetes, objects, pooler, postgres, ssh, vault, volumes
from sandbox.credentials import load_or_make
from sandbox.duties import Duty
from sandbox.endpoints import (
    Endpoints,
    KubernetesEndpoint,
    PoolerEndpoint,
    PostgresEndpoint,
    SshEndpoint,
    VaultEndpoint,
)
from sandbox.errors import SandboxError
from sandbox.layout import Layout
from sandbox.logs import CAP_BYTES, predecessor
from sandbox.ports import load_or_choose
from sandbox.processes import ProcessId
from sandbox.record import Phase
from sandbox.runner import Runner

# Clients before the servers they talk to.
STOP_ORDER = (
    ("kwok", "kube-scheduler", "kube-controller-manager", "pgbouncer", "sshd"),
    ("kube-apiserver", "vault"),
    ("postgres", "etcd"),
)
_READY_SECONDS = 180
"""A busy machine is slow; a process that ended is told at once."""
_TICK_SECONDS = 1


class Daemon:
    """One sandbox, from its start until it is told to stop, or until the process that owns it has ended."""

    def __init__(self, layout: Layout, tools: Mapping[str, Path], owner: ProcessId | None) -> None:
        self._layout = layout
        self._tools = tools
        self._owner = owner
        self._ports = load_or_choose(layout.ports)
        self._credentials = load_or_make(layout.credentials, postgres.data(layout))
        self._cluster = kubernetes.Cluster(layout, self._ports["kube-apiserver"])
        self._runner = Runner(layout)

    async def run(self) -> bool:
        """Run until SIGTERM, SIGINT or the owner's end; returns whether everything had come up."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        up = asyncio.create_task(self._bring_up())
        stop = asyncio.create_task(self._told(stopping))
        await asyncio.wait({up, stop}, return_when=asyncio.FIRST_COMPLETED)
        error = await self._outcome(up)
        if error:
            stop.cancel()
        else:
            await self._watch(stop)
        self._runner.phase(Phase.STOPPING, error)
        await self._runner.stop(STOP_ORDER)
        if error:
            self._runner.phase(Phase.FAILED, error)
        else:
            self._layout.record.unlink(missing_ok=True)
        return not error

    async def _told(self, stopping: asyncio.Event) -> None:
        """Return when it is told to stop, or nobody is left for whom it runs."""
        while self._owner is None or self._owner.alive():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), None if self._owner is None else _TICK_SECONDS)
                return

    async def _outcome(self, up: asyncio.Task[None]) -> str:
        """Return what went wrong while coming up; empty when nothing did, or when it was told to stop meanwhile."""
        if not up.done():
            up.cancel()
        try:
            await up
        except asyncio.CancelledError:
            return ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the person who waits must be told
            return describe(error)
        return ""

    async def _bring_up(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            database = tasks.create_task(self._database())
            secrets = tasks.create_task(self._secrets())
            cluster = tasks.create_task(self._control_plane())
            host = tasks.create_task(self._host())
        server, front = database.result()
        endpoints = Endpoints(
            postgres=server, pooler=front, vault=secrets.result(), kubernetes=cluster.result(), ssh=host.result()
        )
        self._runner.check()
        endpoints.save(self._layout.root)
        self._runner.phase(Phase.READY)

    async def _database(self) -> tuple[PostgresEndpoint, PoolerEndpoint | None]:
        service = await asyncio.to_thread(
            postgres.prepare, self._layout, self._tools["postgres"], self._ports["postgres"], self._credentials
        )
        server = postgres.endpoint(self._ports["postgres"], self._credentials)
        await self._runner.spawn(service)
        await self._ready("postgres", partial(postgres.answers, server))
        await postgres.ensure_pooler_role(server, self._credentials.pgbouncer_auth)
        if "pgbouncer" not in self._tools:
            return server, None
        port = self._ports["pooler"]
        await self._runner.spawn(
            pooler.prepare(self._layout, self._tools["pgbouncer"], port, server, self._credentials)
        )
        await self._ready("pgbouncer", partial(pooler.answers, port))
        return server, pooler.endpoint(port, self._credentials)

    async def _secrets(self) -> VaultEndpoint:
        service = vault.prepare(self._layout, self._tools["vault"], self._ports["vault"])
        await self._runner.spawn(service)
        async with vault.client(self._layout, service.address) as client:
            await self._runner.until("vault", partial(vault.answers, client), _READY_SECONDS)
            endpoint = await vault.open_up(self._layout, client)
            await self._runner.until("vault", partial(vault.active, client), _READY_SECONDS)
            await vault.ensure_audit(self._layout, client)
        self._runner.ready("vault")
        return endpoint

    async def _control_plane(self) -> KubernetesEndpoint:
        service, store = etcd.prepare(self._layout, self._tools["etcd"], self._ports)
        await self._runner.spawn(service)
        # The API server waits for its store by itself, so both load side by side.
        await self._runner.spawn(self._cluster.api_server(self._tools["kube-apiserver"], store))
        async with objects.client(self._cluster) as api:
            await self._ready("kube-apiserver", partial(objects.answers, api))
            self._runner.ready("etcd")
            await self._runner.spawn(self._cluster.controller_manager(self._tools["kube-controller-manager"]))
            await self._runner.spawn(self._cluster.scheduler(self._tools["kube-scheduler"]))
            await objects.free_machines(api)
            await self._runner.spawn(self._cluster.machines(self._tools["kwok"]))
            await objects.heal_definitions(api)
            await objects.apply_all(api)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ready("kwok", partial(objects.nodes_ready, api)))
                tasks.create_task(
                    self._runner.until(
                        "kube-apiserver", partial(objects.established, api), _READY_SECONDS, "serving every definition"
                    )
                )
                tasks.create_task(self._ready("kube-controller-manager", partial(objects.accounts_made, api)))
        # It has no port to ask: what counts is that it still runs (see `check`).
        self._runner.ready("kube-scheduler")
        return self._cluster.endpoint()

    async def _host(self) -> SshEndpoint | None:
        if ssh.NAME not in self._tools:
            return None
        port = self._ports[ssh.NAME]
        await self._runner.spawn(ssh.prepare(self._layout, self._tools[ssh.NAME], port))
        await self._ready(ssh.NAME, partial(ssh.answers, port))
        return ssh.endpoint(self._layout, port)

    async def _ready(self, name: str, probe: Callable[[], Awaitable[bool]]) -> None:
        await self._runner.until(name, probe, _READY_SECONDS)
        self._runner.ready(name)

    async def _watch(self, stop: asyncio.Task[None]) -> None:
        """Do the small regular duties until told to stop. A crashed backend is reported by status, not hidden."""
        log = partial(print, file=sys.stderr, flush=True)
        duties = [Duty(do, log) for do in (volumes.provision, addresses.publish)]
        async with objects.client(self._cluster) as api:
            while not stop.done():
                self._rotate_audit_log()
                for duty in duties:
                    await duty.tick(api)
                await asyncio.wait({stop}, timeout=_TICK_SECONDS)

    def _rotate_audit_log(self) -> None:
        log = vault.audit_log(self._layout)
        with suppress(OSError):
            if log.stat().st_size > CAP_BYTES:
                log.replace(predecessor(log))
                # Vault opens its audit file anew.
                self._runner.signal("vault", signal.SIGHUP)


def describe(error: BaseException) -> str:
    """Return one message for a failure, however many tasks it brought down."""
    while isinstance(error, BaseExceptionGroup):
        leaves = error.exceptions
        error = next((leaf for leaf in leaves if isinstance(leaf, (SandboxError, BaseExceptionGroup))), leaves[0])
    if isinstance(error, SandboxError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"
