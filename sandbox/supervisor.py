"""Start, stop, status and reset of the sandbox, as the command line and the tests call them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import toolchain
from sandbox import ports, status
from sandbox.backends import ssh
from sandbox.endpoints import Endpoints
from sandbox.errors import SandboxError
from sandbox.files import is_locked, locked
from sandbox.layout import Layout
from sandbox.logs import tail
from sandbox.processes import ProcessId, wait_gone
from sandbox.record import BackendState, Phase, Record
from toolchain.debian_packages import program, provide_ssh_server

# Each backend is the tool of its name, but for the SSH server: that one is the machine's.
TOOLS = tuple(name for name in status.BACKENDS if name != ssh.NAME)
# Whose port need not be free where it is missing.
_OPTIONAL_PORTS = {"pooler": "pgbouncer", ssh.NAME: ssh.NAME}
# The databases when new, their write-ahead logs, and the logs at their cap.
MINIMUM_FREE_BYTES = 400_000_000
Report = Callable[[str], None]

_POLL_SECONDS = 0.05
_START_SECONDS = 300
_STOP_SECONDS = 45
_GONE_SECONDS = 10
OWNER_VARIABLE = "FACTORY_SANDBOX_OWNER"
"""Number of a process with which a sandbox ends: a run of tests that is killed leaves none behind."""
# The daemon needs these to find itself and its programs; anything else in the environment may be a secret.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


class Sandbox:
    """The sandbox of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._layout = Layout(state_dir.absolute())

    def start(self, report: Report) -> Endpoints:
        """Start what is not running and wait until everything is ready; a second start does nothing.

        `report` gets a line per backend. Raises `SandboxError`, and then nothing is left running.
        """
        self._check_machine()
        self._layout.make()
        with locked(self._layout.start_lock, lambda: report("another start or stop is going on; waiting for it")):
            state = status.read(self._layout, sizes=False).state
            if state is status.SandboxState.RUNNING:
                return Endpoints.load(self._layout.root)
            if state is status.SandboxState.STARTING:
                report("the sandbox is starting already; waiting for it")
                return self._wait_ready(report)
            if state is not status.SandboxState.STOPPED:
                report(f"the sandbox is {state}; it is started anew")
            self._end()
            self._check_space()
            tools = dict(toolchain.ensure(TOOLS, report))
            if provide_ssh_server(report) and (server := program(ssh.NAME)):
                tools[ssh.NAME] = Path(server)
            kept = ports.load_or_choose(self._layout.ports)
            used = {name: port for name, port in kept.items() if _OPTIONAL_PORTS.get(name) in {None, *tools}}
            ports.check_free(used, self._layout.ports)
            self._spawn(tools)
            return self._wait_ready(report)

    def stop(self, report: Report) -> None:
        """End everything and wait until the processes are gone and the ports free; the data stays."""
        if not self._layout.root.exists():
            return
        with locked(self._layout.start_lock, lambda: report("another start or stop is going on; waiting for it")):
            self._end()

    def status(self) -> status.SandboxStatus:
        """Tell how it is; never changes anything."""
        return status.read(self._layout)

    def reset(self, report: Report, *, yes: bool) -> None:
        """Stop and delete the data, ports and keys included; refused without `yes`."""
        if not yes:
            raise SandboxError(
                f"reset deletes the databases, secrets and objects below {self._layout.root}: repeat it with --yes"
            )
        if not self._layout.root.exists():
            return
        with locked(self._layout.start_lock, lambda: report("another start or stop is going on; waiting for it")):
            self._end()
            for path in self._layout.data():
                try:
                    if path.is_dir():
                        shutil.rmtree(path)
                    else:
                        path.unlink(missing_ok=True)
                except OSError as error:
                    raise SandboxError(f"cannot delete {error.filename or path}: {error.strerror}") from error
            report(f"the sandbox's data below {self._layout.root} is deleted")

    @staticmethod
    def _check_machine() -> None:
        if sys.platform != "linux":
            raise SandboxError(
                "the embedded sandbox runs on Linux (x86-64 or arm64); elsewhere use a stack whose connections lead to "
                "real servers"
            )

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._layout.root).free
        if free < MINIMUM_FREE_BYTES:
            needed = MINIMUM_FREE_BYTES // 1_000_000
            raise SandboxError(
                f"{self._layout.root} has {free // 1_000_000} MB free, the sandbox needs {needed}: make room, or set "
                "FACTORY_STATE to another directory"
            )

    def _spawn(self, tools: Mapping[str, Path]) -> None:
        self._layout.record.unlink(missing_ok=True)
        owner = _owner()
        order = {
            "state_dir": str(self._layout.root),
            "tools": {name: str(path) for name, path in tools.items()},
            "owner": owner.model_dump() if owner else None,
        }
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        started = subprocess.run(
            [sys.executable, "-m", "sandbox", "supervise"],
            input=json.dumps(order),
            text=True,
            check=False,
            cwd=toolchain.ROOT,
            env={**environment, "PYTHONPATH": str(toolchain.ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if started.returncode != 0:
            lines = started.stderr.strip().splitlines()
            raise SandboxError(f"the supervisor did not start: {lines[-1] if lines else 'another one has its lock'}")

    def _wait_ready(self, report: Report) -> Endpoints:
        """Follow the record until the supervisor says ready or failed, one line per backend."""
        log = self._layout.log(status.SUPERVISOR)
        begun = time.monotonic()
        told: set[str] = set()
        while time.monotonic() - begun < _START_SECONDS:
            record = Record.load(self._layout.record)
            if record is None:
                # It holds its lock from before it was detached until it ends.
                if not is_locked(self._layout.supervisor_lock):
                    raise SandboxError(f"the sandbox did not start; the last lines of {log}:{tail(log)}")
            else:
                for name, backend in record.backends.items():
                    if backend.state is BackendState.READY and name not in told:
                        told.add(name)
                        report(f"{name:<24} ready after {backend.ready_after or 0:4.1f} s  {backend.address}".rstrip())
                if record.phase is Phase.READY:
                    return self._ready(report)
                if record.phase is Phase.FAILED or not record.alive():
                    error = record.error or f"the supervisor died; the last lines of {log}:{tail(log)}"
                    raise SandboxError(f"the sandbox did not start: {error}")
            time.sleep(_POLL_SECONDS)
        self._end()
        raise SandboxError(f"the sandbox was not ready within {_START_SECONDS} s; see {self._layout.logs}")

    def _ready(self, report: Report) -> Endpoints:
        for line in status.read(self._layout, sizes=False).uncovered:
            report(line)
        return Endpoints.load(self._layout.root)

    def _end(self) -> None:
        """End the supervisor and whatever is left of its backends, each named by id and start time."""
        record = self._known()
        if record is None:
            return
        record.supervisor.signal(signal.SIGTERM)
        if wait_gone([record.supervisor], _STOP_SECONDS):
            record.supervisor.signal(signal.SIGKILL)
        # With the supervisor the kernel ends its children; after a crash that may take a moment.
        record = Record.load(self._layout.record) or record
        self._end_survivors(record.survivors())
        self._wait_ports_free()
        self._layout.record.unlink(missing_ok=True)

    def _known(self) -> Record | None:
        """Return the record; of a supervisor that has only just begun, whose start was interrupted, once it has one."""
        deadline = time.monotonic() + _GONE_SECONDS
        while (record := Record.load(self._layout.record)) is None:
            if time.monotonic() > deadline or not is_locked(self._layout.supervisor_lock):
                return None
            time.sleep(_POLL_SECONDS)
        return record

    def _wait_ports_free(self) -> None:
        """Wait for the last sockets to close, so that a start right after a stop finds the ports free."""
        deadline = time.monotonic() + _GONE_SECONDS
        kept = ports.load_or_choose(self._layout.ports).values()
        while time.monotonic() < deadline and not all(ports.is_free(port) for port in kept):
            time.sleep(_POLL_SECONDS)

    @staticmethod
    def _end_survivors(survivors: list[ProcessId]) -> None:
        for process in wait_gone(survivors, _GONE_SECONDS):
            process.signal(signal.SIGKILL)
        left = wait_gone(survivors, _GONE_SECONDS)
        if left:
            numbers = ", ".join(str(process.pid) for process in left)
            raise SandboxError(f"processes {numbers} of the sandbox do not end, not even by SIGKILL; look at them")


def _owner() -> ProcessId | None:
    number = os.environ.get(OWNER_VARIABLE)
    if not number:
        return None
    owner = ProcessId.of(int(number)) if number.isdecimal() else None
    if owner is None:
        raise SandboxError(f"{OWNER_VARIABLE}={number}: there is no such process; give the number of one, or unset it")
    return owner
