"""Runs one phase: look, decide, act once, look again; until it is done, must stop, or waited in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .interfaces import Clock, Cluster, ClusterError, Node, NodeError
from .journal import Evidence
from .node_tools import run_long
from .steps import Act, Action, Create, Delete, Done, Execute, Finalize, Patch, Run, Step, Stop, StopError, Wait

__all__ = ["ActionError", "PhaseRunner"]

_REPEATS: Final = 6
"""How often the same act may be needed before the world is taken to resist."""
_PASSING: Final = 20
"""How many answers in a row that pass by themselves are borne."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_UNPROCESSABLE: Final = 422


class ActionError(Exception):
    """An action on a node or in a pod ended with a status that the phase did not expect."""


@dataclass
class PhaseRunner:
    """What a volume's phases share. ``consented`` says whether a person named this volume for destructive steps."""

    cluster: Cluster
    node: Node | None
    clock: Clock
    evidence: Evidence
    volume: str
    consented: bool
    work_directory: str = "/var/lib/factory-recovery"

    def run(self, phase: str, decide: Callable[[], Step]) -> Done:
        """Run a phase. ``decide`` looks at the world and decides. Raises StopError, ClusterError, NodeError."""
        acts: Counter[str] = Counter()
        waits = _Waits(self.clock)
        looks_failed = acts_failed = 0
        while True:
            try:
                step = decide()
            except ClusterError as error:
                self._bear(phase, "look", error, looks_failed)
                looks_failed += 1
                continue
            looks_failed = 0
            if isinstance(step, Done):
                self.evidence.note(self.volume, phase, "phase complete", outcome=str(dict(step.result)))
                return step
            if isinstance(step, Stop):
                self.evidence.note(self.volume, phase, "stop", why=step.code, outcome=step.reason)
                raise StopError(phase, step.code, step.reason)
            if isinstance(step, Wait):
                waits.pause(phase, step)
                continue
            if acts[step.what] >= _REPEATS:
                reason = f"{step.what}: done {_REPEATS} times, and each time the cluster undid it; find out what does"
                raise StopError(phase, "undone", reason)
            if self._act(phase, step, acts_failed):
                acts[step.what] += 1
                acts_failed = 0
            else:
                acts_failed += 1
            waits.reset()

    def _act(self, phase: str, step: Act, failed: int) -> bool:
        """Do what was decided, unless the API server answered for the ``failed + 1``-th time that it cannot now."""
        if not self.consented:
            raise StopError(phase, "no-consent", f"{step.what}: nobody named this volume for it")
        try:
            outcome = self.perform(step.action)
        except ClusterError as error:
            raced = isinstance(step.action, Patch) and error.status == _UNPROCESSABLE and failed < _REPEATS
            if not error.passing and not error.missing and not raced:
                self.evidence.note(self.volume, phase, step.what, outcome=f"refused: {error}")
                raise
            self._bear(phase, step.what, error, failed)
            return False
        except (NodeError, ActionError) as error:
            self.evidence.note(self.volume, phase, step.what, outcome=f"failed: {error}")
            raise
        self.evidence.note(self.volume, phase, step.what, outcome=outcome or "done")
        return True

    def perform(self, action: Action) -> str:
        """Do it. Raises ClusterError, NodeError or ActionError."""
        if isinstance(action, Create):
            self.cluster.create(action.ref, action.body)
        elif isinstance(action, Patch):
            self.cluster.patch(action.ref, action.body)
        elif isinstance(action, Delete):
            self.cluster.delete(action.ref, uid=action.uid, grace_seconds=action.grace_seconds)
        elif isinstance(action, Finalize):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": action.ref.name}}
            self.cluster.replace(action.ref, {**body, "spec": {"finalizers": []}}, "finalize")
        elif isinstance(action, Execute):
            status, output = self.cluster.execute(action.namespace, action.pod, action.command)
            if status:
                message = f"{' '.join(action.command)} in pod {action.pod} ended with {status}: {output.strip()}"
                raise ActionError(message)
            return output.strip()
        else:
            return self._run(action)
        return ""

    def _run(self, action: Run) -> str:
        if self.node is None:
            message = "a command needs the source node, which is not chosen yet"
            raise ActionError(message)
        if action.long:
            done = run_long(
                self.node, action.command, clock=self.clock, timeout=action.timeout, directory=self.work_directory
            )
        else:
            done = self.node.run(action.command, timeout=action.timeout)
        if done.status not in action.ok:
            words = (done.err.strip() or done.out.strip())[-1500:]
            shown = next((word for word in action.command if word.startswith("factory-")), action.command[0])
            message = f"{shown} on {self.node.name} ended with {done.status}: {words}"
            raise ActionError(message)
        return done.out.strip()

    def _bear(self, phase: str, what: str, error: ClusterError, failed: int) -> None:
        """Wait a moment after an answer that passes by itself; give up after many in a row."""
        if failed >= _PASSING or not (error.passing or error.missing or error.status == _UNPROCESSABLE):
            raise error
        self.evidence.note(self.volume, phase, what, outcome=f"the API server said: {error}", next_step="again")
        self.clock.sleep(min(_FIRST_PAUSE * 2**failed, _LONGEST_PAUSE))


class _Waits:
    """A deadline for each thing that is waited for, with pauses that grow (LHR-170)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started: dict[str, float] = {}
        self._pause = _FIRST_PAUSE

    def pause(self, phase: str, wait: Wait) -> None:
        """Sleep, or raise StopError when it took too long."""
        now = self._clock.monotonic()
        if wait.what not in self._started:
            self._pause = _FIRST_PAUSE
        since = self._started.setdefault(wait.what, now)
        if now - since >= wait.seconds:
            seen = f"; last seen: {wait.observed}" if wait.observed else ""
            raise StopError(phase, "timeout", f"waited {wait.seconds:g} s in vain until {wait.what}{seen}")
        self._clock.sleep(min(self._pause, _LONGEST_PAUSE))
        self._pause *= 1.5

    def reset(self) -> None:
        """After an act, what is waited for gets its whole time again."""
        self._started.clear()
        self._pause = _FIRST_PAUSE
