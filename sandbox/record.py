"""What the supervisor says about itself and its backends: `supervisor.json`, read by everybody else."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.files import write_private
from sandbox.processes import ProcessId


class Phase(StrEnum):
    """Where the supervisor is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


class BackendState(StrEnum):
    """How one backend is."""

    STARTING = "starting"
    READY = "ready"
    CRASHED = "crashed"
    STOPPED = "stopped"


class BackendRecord(BaseModel):
    """One backend as the supervisor knows it."""

    model_config = ConfigDict(extra="forbid")

    process: ProcessId
    state: BackendState = BackendState.STARTING
    address: str = ""
    note: str = ""
    ready_after: float | None = Field(default=None, description="Seconds from its start until it was ready.")


class Record(BaseModel):
    """The supervisor and its backends."""

    model_config = ConfigDict(extra="forbid")

    supervisor: ProcessId
    phase: Phase = Phase.STARTING
    error: str = ""
    backends: dict[str, BackendRecord] = {}

    @classmethod
    def load(cls, path: Path) -> Record | None:
        """Read the file; None when there is none, or when a power cut damaged it: no process survived that either."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

    def save(self, path: Path) -> None:
        """Replace the file. It describes processes, so it need not outlive the machine."""
        write_private(path, self.model_dump_json(indent=2).encode() + b"\n", durable=False)

    def alive(self) -> bool:
        """Tell whether the supervisor still runs."""
        return self.supervisor.alive()

    def survivors(self) -> list[ProcessId]:
        """Return the backends' processes that still run."""
        return [backend.process for backend in self.backends.values() if backend.process.alive()]
