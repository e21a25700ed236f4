"""What a phase decides: act once and look again, wait, be done, or stop. Decisions are data; nothing happens here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .interfaces import Document, Ref

__all__ = [
    "Act",
    "Action",
    "Create",
    "Delete",
    "Done",
    "Execute",
    "Finalize",
    "Patch",
    "Run",
    "Step",
    "Stop",
    "StopError",
    "Wait",
]


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object."""

    ref: Ref
    body: Document


@dataclass(frozen=True, slots=True)
class Patch:
    """Change an object: a mapping is a merge patch, a list a JSON patch."""

    ref: Ref
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly the object that was looked at."""

    ref: Ref
    uid: str
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Finalize:
    """Let a namespace go that nothing holds any more, through its own subresource."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Run:
    """Run a command on the source node; ``ok`` are the exit statuses that let the phase go on."""

    command: tuple[str, ...]
    timeout: float
    ok: tuple[int, ...] = (0,)
    long: bool = False
    """Whether it survives a lost connection (LHR-182)."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a command in a pod."""

    namespace: str
    pod: str
    command: tuple[str, ...]


Action = Create | Patch | Delete | Finalize | Run | Execute


@dataclass(frozen=True, slots=True)
class Act:
    """Do one thing, then look again."""

    what: str
    action: Action
    destructive: bool = False
    """Whether something is lost by it: such a thing needs a person's consent."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again later; after ``seconds`` of the same wait, stop."""

    what: str
    seconds: float
    observed: Any = None
    """What was last seen, for the message."""


@dataclass(frozen=True, slots=True)
class Done:
    """The phase is complete; ``result`` goes to the journal."""

    result: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """The volume cannot go on without a person. ``code`` is stable, the reason is for people."""

    code: str
    reason: str


Step = Act | Wait | Done | Stop


class StopError(Exception):
    """A volume stopped, in a phase, for a reason."""

    def __init__(self, phase: str, code: str, reason: str) -> None:
        super().__init__(f"{phase}: {reason} ({code})")
        self.phase = phase
        self.code = code
        self.reason = reason
