"""How the sandbox is, as data: for `./factory sandbox status` and `doctor`."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from sandbox.layout import Layout
from sandbox.processes import memory, proportional_size
from sandbox.record import BackendRecord, BackendState, Phase, Record

BACKENDS = (
    "postgres",
    "pgbouncer",
    "vault",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "sshd",
)
OPTIONAL = {
    "pgbouncer": "pgbouncer could not be had: the hop from an application through the pooler (APP-07) is not covered",
    "sshd": "there is no sshd on this machine: the sandbox has no host to manage (section `hosts`)",
}
"""Backends that a sandbox can do without, each with what it then cannot show."""
SUPERVISOR = "supervisor"


class SandboxState(StrEnum):
    """How the sandbox is as a whole."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPING = "stopping"
    DEGRADED = "degraded"
    STOPPED = "stopped"


class BackendStatus(BaseModel):
    """One line of the table."""

    model_config = ConfigDict(frozen=True)

    backend: str
    state: BackendState
    pid: int | None = None
    address: str = ""
    memory_bytes: int | None = Field(default=None, description="Bytes, its children included, shared pages once.")
    uptime_seconds: float | None = None
    note: str = ""


class SandboxStatus(BaseModel):
    """The whole table."""

    model_config = ConfigDict(frozen=True)

    state: SandboxState
    state_dir: str
    backends: tuple[BackendStatus, ...]
    uncovered: tuple[str, ...] = Field(default=(), description="What this sandbox cannot show, with the reason.")
    note: str = ""

    @property
    def memory_bytes(self) -> int:
        """What all of it uses."""
        return sum(backend.memory_bytes or 0 for backend in self.backends)


def read(layout: Layout, *, sizes: bool = True) -> SandboxStatus:
    """Look at the record and at the processes it names.

    Without `sizes` their memory is left out: to count its pages takes the kernel tens of milliseconds per process.
    """
    record = Record.load(layout.record)
    root = str(layout.root)
    if record is None or not record.alive():
        stopped = tuple(BackendStatus(backend=name, state=BackendState.STOPPED) for name in BACKENDS)
        return SandboxStatus(
            state=SandboxState.STOPPED, state_dir=root, backends=stopped, note=_why_stopped(layout, record)
        )
    supervisor = BackendStatus(
        backend=SUPERVISOR,
        state=BackendState.READY if record.phase is Phase.READY else BackendState.STARTING,
        pid=record.supervisor.pid,
        # Without its children's: they have lines of their own.
        memory_bytes=proportional_size(record.supervisor.pid) if sizes else None,
        uptime_seconds=record.supervisor.uptime(),
    )
    backends = tuple(_backend(name, record.backends[name], sizes=sizes) for name in BACKENDS if name in record.backends)
    ready = record.phase is Phase.READY
    return SandboxStatus(
        state=_state(record.phase, backends),
        state_dir=root,
        backends=(supervisor, *backends),
        uncovered=tuple(lack for name, lack in OPTIONAL.items() if ready and name not in record.backends),
        note="; ".join(backend.note for backend in backends if backend.note),
    )


def _state(phase: Phase, backends: tuple[BackendStatus, ...]) -> SandboxState:
    if phase is Phase.STARTING:
        return SandboxState.STARTING
    if phase is not Phase.READY:
        return SandboxState.STOPPING
    healthy = all(backend.state is BackendState.READY for backend in backends)
    return SandboxState.RUNNING if healthy else SandboxState.DEGRADED


def _backend(name: str, record: BackendRecord, *, sizes: bool) -> BackendStatus:
    alive = record.process.alive()
    state = record.state if alive or record.state is not BackendState.READY else BackendState.CRASHED
    return BackendStatus(
        backend=name,
        state=state,
        pid=record.process.pid if alive else None,
        address=record.address,
        memory_bytes=memory(record.process.pid) if alive and sizes else None,
        uptime_seconds=record.process.uptime() if alive else None,
        note=record.note,
    )


def _why_stopped(layout: Layout, record: Record | None) -> str:
    if record is None:
        return ""
    if record.phase is Phase.FAILED:
        return record.error
    return f"the supervisor died; see {layout.log(SUPERVISOR)}, and start again"
