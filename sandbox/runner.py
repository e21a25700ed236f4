"""The processes of the backends: started, logged, watched, waited for, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from sandbox.errors import SandboxError
from sandbox.layout import Layout
from sandbox.logs import CappedLog, tail
from sandbox.processes import ProcessId, boot_id, wait_gone, with_descendants
from sandbox.record import BackendRecord, BackendState, Phase, Record
from sandbox.service import Service

_POLL_SECONDS = 0.05
_STOP_SECONDS = 10
_LAST_WORDS_SECONDS = 2
_CHUNK_BYTES = 65_536


@dataclass
class _Running:
    service: Service
    process: asyncio.subprocess.Process
    watcher: asyncio.Task[None]
    started: float


class Runner:
    """Runs services and keeps the record of them. All its processes are children of the thread that calls it."""

    def __init__(self, layout: Layout) -> None:
        me = ProcessId.of(os.getpid())
        if me is None:
            raise SandboxError("/proc is not mounted: the sandbox needs it to tell processes apart")
        self._layout = layout
        self._running: dict[str, _Running] = {}
        self._record = Record(supervisor=me)
        self._publish()

    async def spawn(self, service: Service) -> None:
        """Start a process; its output goes to its log."""
        process = await asyncio.create_subprocess_exec(
            *service.command(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            env=service.full_environment(),
        )
        # One that ended at once is found by whoever waits for it; the start time 0 names no process.
        identity = ProcessId.of(process.pid) or ProcessId(pid=process.pid, started_ticks=0, boot=boot_id())
        self._record.backends[service.name] = BackendRecord(process=identity, address=service.address)
        watcher = asyncio.create_task(self._watch(service.name, process))
        self._running[service.name] = _Running(service, process, watcher, time.monotonic())
        self._publish()

    async def until(self, name: str, probe: Callable[[], Awaitable[bool]], seconds: float, what: str = "ready") -> None:
        """Wait until the probe of a backend says yes; `what` is what the probe asks, for the message.

        Raises `SandboxError` when the process ends or the time is over.
        """
        running = self._running[name]
        deadline = time.monotonic() + seconds
        while not await probe():
            if running.process.returncode is not None:
                # Its last words first; a child of its may hold the pipe open.
                await asyncio.wait({running.watcher}, timeout=_LAST_WORDS_SECONDS)
                raise SandboxError(self._ended(name, running.process.returncode))
            if time.monotonic() > deadline:
                raise SandboxError(f"{name} was not {what} within {seconds:.0f} s; {self._last_lines(name)}")
            await asyncio.sleep(_POLL_SECONDS)

    def ready(self, name: str) -> None:
        """Note that a backend does its work."""
        backend = self._record.backends[name]
        if backend.state is BackendState.STARTING:
            backend.state = BackendState.READY
            backend.ready_after = round(time.monotonic() - self._running[name].started, 2)
            self._publish()

    def check(self) -> None:
        """Raise `SandboxError` if a backend has ended by itself."""
        notes = [backend.note for backend in self._record.backends.values() if backend.state is BackendState.CRASHED]
        if notes:
            raise SandboxError("; ".join(notes))

    def phase(self, phase: Phase, error: str = "") -> None:
        """Note where the supervisor is."""
        self._record.phase = phase
        self._record.error = error
        self._publish()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Signal one backend, if it runs."""
        running = self._running.get(name)
        if running and running.process.returncode is None:
            running.process.send_signal(number)

    async def stop(self, waves: Iterable[Iterable[str]]) -> None:
        """End the processes, wave after wave: clients before servers."""
        for wave in waves:
            await asyncio.gather(*(self._end(running) for name in wave if (running := self._running.get(name))))

    async def _end(self, running: _Running) -> None:
        """End one process, then what came out of it and goes on by itself, such as a session of the SSH server."""
        name, family = running.service.name, []
        # Of one that has ended before, the number may be a stranger's by now.
        if self._record.backends[name].process.alive():
            family = [member for member in map(ProcessId.of, with_descendants(running.process.pid)) if member]
        self.signal(name, running.service.stop_signal)
        await asyncio.to_thread(wait_gone, family[:1], _STOP_SECONDS)
        for member in family:
            member.signal(signal.SIGKILL)
        # With them, whatever held its output has ended.
        await asyncio.wait({running.watcher}, timeout=_STOP_SECONDS)

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        log = CappedLog(self._layout.log(name))
        try:
            if process.stdout is not None:
                while chunk := await process.stdout.read(_CHUNK_BYTES):
                    log.write(chunk)
            status = await process.wait()
        finally:
            log.close()
        backend = self._record.backends[name]
        if self._record.phase in {Phase.STARTING, Phase.READY}:
            backend.state = BackendState.CRASHED
            backend.note = self._ended(name, status)
        else:
            backend.state = BackendState.STOPPED
        self._publish()

    def _ended(self, name: str, status: int) -> str:
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"{name} ended by itself ({how}); {self._last_lines(name)}"

    def _last_lines(self, name: str) -> str:
        log = self._layout.log(name)
        return f"the last lines of {log}:{tail(log) or ' (empty)'}"

    def _publish(self) -> None:
        self._record.save(self._layout.record)
