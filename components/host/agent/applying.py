"""Working a plan off, so that an end anywhere leaves the host and the caller knowing where it stopped."""

from __future__ import annotations

import time

from .errors import AgentError, failed
from .fs import Files
from .journal import SERVING, Journal
from .operations import Operations, Skipped
from .planner import PATH_KINDS
from .preflight import require_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from .confirm import Revert
    from .host import Host
    from .plan import Action, Planning

_PROGRESS_SECONDS = 0.1
_OWN_FILES = ("write", "attributes", "make_directory", "link", "remove", "remove_directory", "edit", "backup")
"""Operations that rely on nothing but the files before them; before all others the directories are synced."""
_VERBS = {"create": "creating", "update": "changing", "delete": "removing", "run": "running", "maybe": "running"}


class Apply:
    """One application of a plan. ``known`` is what the caller already knows to be made by this resource."""

    def __init__(
        self,
        host: Host,
        planning: Planning,
        *,
        known: Mapping[str, Mapping[str, Any]],
        token: str,
        blob: Callable[[str], Iterator[bytes]],
        progress: Callable[[dict[str, Any]], None],
    ) -> None:
        self._host = host
        self._planning = planning
        self._known = known
        self._files = Files(host)
        self._operations = Operations(host, self._files, planning.resource, blob)
        self._journal = Journal(host, self._files, planning.resource, planning.facts.get("journal"))
        self._revert = _revert(host, self._files, planning, token)
        self._progress = progress
        self._told = 0.0
        self._applied: list[Action] = []

    def run(self) -> dict[str, Any]:
        """Do everything; returns the result. Raises AgentError that tells what was done and what was not."""
        planning = self._planning
        if planning.problems:
            reasons = "; ".join(f"{each['item']}: {each['message']}" for each in planning.problems)
            raise AgentError("refused", reasons, problems=planning.problems)
        journal = planning.facts.get("journal")
        if planning.actions or (journal and not journal["finished"]):
            require_room(self._host, planning.actions)
            self._work()
        try:
            self._journal.end(self._applied, self._known)
        except AgentError as error:
            raise self._failure(error, len(planning.actions), None) from error
        applied = [action.item for action in self._applied]
        return {"applied": applied, "owned": self._owned(), "confirm": self._revert.awaited() if self._revert else None}

    def acknowledge(self) -> None:
        """Note that the caller has the result."""
        self._journal.forget()

    def _work(self) -> None:
        actions = self._planning.actions
        self._journal.begin(actions)
        number, action = 0, None
        try:
            for number, action in enumerate(actions):
                self._stop_if_cancelled()
                self._tell(number, action)
                self._do(action)
            self._files.settle()
            self._look_at_services()
            if self._revert:
                self._revert.finish()
        except AgentError as error:
            raise self._failure(error, number, action) from error
        except Exception as error:
            raise self._failure(unforeseen(error), number, action) from error

    def _do(self, action: Action) -> None:
        applied = {each.item for each in self._applied}
        if action.maybe and not applied.intersection(action.why):
            return
        if self._revert:
            self._revert.arm_before(action)
        if action.do == "maybe":
            self._journal.changing(action.item)
        try:
            for operation in action.operations:
                if operation[0] not in _OWN_FILES:
                    self._files.settle()
                self._operations.do(operation)
        except Skipped:
            return
        self._applied.append(action)
        if action.do in SERVING:
            self._journal.served(action.item)

    def _look_at_services(self) -> None:
        """Fail if a service failed right after its start."""
        begun = [
            action.item.partition(":")[2] for action in self._applied if action.do in ("start", "restart", "reload")
        ]
        if begun:
            self._operations.require_running(begun)

    def _stop_if_cancelled(self) -> None:
        if self._host.runner.cancelled():
            raise AgentError("cancelled", "the run was cancelled")

    def _tell(self, number: int, action: Action) -> None:
        slow = any(operation[0] not in _OWN_FILES for operation in action.operations)
        if slow or time.monotonic() - self._told >= _PROGRESS_SECONDS:
            self._told = time.monotonic()
            text = f"{_VERBS.get(action.do, action.do)} {action.item}"
            total = len(self._planning.actions)
            self._progress({"text": text, "item": action.item, "done": number, "total": total})

    def _failure(self, error: AgentError, number: int, action: Action | None) -> AgentError:
        """Complete an error; the journal keeps what is owed, the caller gets what is owned."""
        begun = [*self._applied, *([action] if action is not None and error.code != "cancelled" else [])]
        try:
            self._files.settle()
            self._journal.fail(begun)
        except (AgentError, OSError):
            # The disk that caused the failure may refuse this too: then the note from before the first change holds.
            error.details["journal"] = "not updated"
        if action is not None and error.code != "cancelled":
            error.details.setdefault("item", action.item)
        error.details["applied"] = [each.item for each in self._applied]
        done = set(map(id, self._applied))
        error.details["not_applied"] = [each.item for each in self._planning.actions[number:] if id(each) not in done]
        error.details["owned"] = self._owned()
        return error

    def _owned(self) -> dict[str, dict[str, Any]]:
        """Tell what this resource has made and must remove one day."""
        planning = self._planning
        owned = {kind: dict(items) for kind, items in planning.owned.items()}
        pending = {action.item for action in planning.actions} - {action.item for action in self._applied}
        for kind, items in planning.owned.items():
            for key in items:
                if key not in planning.wanted(kind) and f"{kind}:{key}" not in pending:
                    del owned[kind][key]
                    heirs = [other for other in PATH_KINDS if kind in PATH_KINDS and key in planning.wanted(other)]
                    for other in heirs[:1]:
                        owned.setdefault(other, {})[key] = True
        for action in self._applied:
            kind, _, key = action.item.partition(":")
            if action.owns is not None:
                owned.setdefault(kind, {})[key] = action.owns
            elif action.disowns:
                owned.get(kind, {}).pop(key, None)
        return {kind: items for kind, items in owned.items() if items}


def _revert(host: Host, files: Files, planning: Planning, token: str) -> Revert | None:
    if not planning.document.get("confirm"):
        return None
    from .confirm import Revert

    return Revert(host, files, planning, token)


def unforeseen(error: Exception) -> AgentError:
    """Make the error of a mistake in the agent: only kind and place, for its text may hold anything, also content."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return failed(f"the agent itself failed with {type(error).__name__}{place}: report this")
