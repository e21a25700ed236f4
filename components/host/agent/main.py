"""The agent's conversation: frames in, frames out, one request after the other."""

from __future__ import annotations

import os

from .errors import AgentError, invalid
from .host import Host
from .protocol import ProtocolError, decode, header, json_frame
from .runner import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .applying import Apply
    from .lock import Lock
    from .plan import Planning

HEADER = 4
_PIECE = 1024 * 1024
_UMASK = 0o022
_GONE = 98
"""Exit status when the caller is gone."""


class Caller:
    """The two ends of the line to the caller."""

    def __init__(self, source: int = 0, sink: int = 1) -> None:
        self._source = source
        self._sink = sink
        self._held: list[dict[str, Any]] = []
        self._blobs_expected = 0
        self._gone = False
        self._ended = False

    def next(self) -> dict[str, Any] | None:
        """Wait for the next message; None at the end. Pieces of blobs that nobody wants any more are passed over."""
        if self._held:
            return self._held.pop(0)
        while True:
            frame = self._frame()
            if frame is None or isinstance(frame, dict):
                return frame

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. A caller who is gone is noticed at the next boundary between two actions."""
        data = memoryview(json_frame(message))
        try:
            while data and not self._gone:
                data = data[os.write(self._sink, data) :]
        except OSError:
            self._gone = True

    def cancelled(self) -> bool:
        """Whether the caller is gone or wants the work to end; never waits."""
        import select

        while not self._ended and not self._blobs_expected and select.select([self._source], [], [], 0)[0]:
            frame = self._frame()
            if frame is None:
                self._ended = True
            elif isinstance(frame, dict) and frame.get("kind") == "cancel":
                return True
            elif isinstance(frame, dict):
                self._held.append(frame)
        return self._ended or self._gone

    def expect_blobs(self, number: int) -> None:
        """Note that so many blobs follow the request."""
        self._blobs_expected = number

    def blob(self, _sha256: str) -> Iterator[bytes]:
        """Yield the pieces of the next blob, which come in the order of the plan's ``needs``."""
        while True:
            piece = self._frame()
            if not isinstance(piece, bytes):
                raise AgentError("cancelled", "the caller ended in the middle of a content")
            if not piece:
                self._blobs_expected -= 1
                return
            yield piece

    def _frame(self) -> dict[str, Any] | bytes | None:
        four = self._read(HEADER)
        if len(four) < HEADER:
            return None
        size, raw = header(four)
        payload = self._read(size)
        if len(payload) < size:
            return None
        return payload if raw else decode(payload)

    def _read(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = os.read(self._source, min(size, _PIECE))
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class Agent:
    """One agent process: the host, its lock, the last plan."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._host = Host(runner=Runner(caller.cancelled))
        self._lock: Lock | None = None
        self._planning: Planning | None = None
        self._plan_id = ""
        self._known: dict[str, Any] = {}
        self._finished: Apply | None = None

    def acknowledge(self) -> None:
        """Take the caller's next word as a sign that the last result arrived."""
        if self._finished is not None:
            self._finished.acknowledge()
            self._finished = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request; raises AgentError."""
        kinds = {
            "plan": self._plan,
            "read": self._read,
            "apply": self._apply,
            "confirm": self._confirm,
            "check": self._check,
        }
        kind = request.get("kind")
        if kind not in kinds:
            raise invalid(f"the request {kind!r} is none of {', '.join(kinds)}")
        needed = {"plan": ("document", "resource"), "confirm": ("token",), "check": ("checks",)}
        needed.update({"read": needed["plan"], "apply": () if "plan_id" in request else needed["plan"]})
        for field in needed[kind]:
            if field not in request:
                raise invalid(f"the request {kind!r} lacks {field!r}")
        return kinds[kind](request)

    def public(self, error: AgentError) -> dict[str, Any]:
        """Give an error as it is sent: without secrets."""
        shown = error.public()
        owned = shown.pop("owned", None)
        shown = self._host.redact(shown)
        return {**shown, "owned": owned} if owned is not None else shown

    def end(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.release()

    def _plan(self, request: dict[str, Any]) -> dict[str, Any]:
        from .preflight import facts

        planning = self._make_plan(request)
        plan: dict[str, Any] = {
            "actions": [action.public() for action in planning.actions],
            "problems": planning.problems,
            "needs": planning.needs(),
            "owed": planning.owed,
        }
        found = facts(self._host, packages=bool(request["document"].get("packages")))
        return {"plan": self._host.redact(plan), "plan_id": self._plan_id, "facts": found}

    def _read(self, request: dict[str, Any]) -> dict[str, Any]:
        from .drift import drift
        from .preflight import facts

        planning = self._make_plan(request)
        return {
            "drift": drift(self._host, planning),
            "interrupted": not (planning.facts.get("journal") or {"finished": True})["finished"],
            "problems": self._host.redact(planning.problems),
            "facts": facts(self._host, packages=bool(request["document"].get("packages"))),
        }

    def _apply(self, request: dict[str, Any]) -> dict[str, Any]:
        from .applying import Apply

        if "plan_id" not in request:
            self._make_plan(request)
        elif request["plan_id"] != self._plan_id:
            raise invalid("this plan is not the last one of this process: plan again")
        elif request.get("lock"):
            self._take_lock(request["lock"])
        planning = self._planning
        if planning is None or self._lock is None or not self._lock.held:
            raise invalid("an apply needs the host's lock: give 'lock' to this request or to its plan")
        self._planning, self._plan_id = None, ""
        wanted = planning.needs()
        if wanted and "plan_id" not in request:
            raise invalid("contents that travel as blobs need a plan first")
        self._caller.expect_blobs(len(wanted) if not planning.problems else 0)
        try:
            apply = Apply(
                self._host,
                planning,
                known=self._known,
                token=os.urandom(8).hex(),
                blob=self._caller.blob,
                progress=lambda told: self._caller.send({"event": "progress", **told}),
            )
            result = apply.run()
        finally:
            self._caller.expect_blobs(0)
        self._finished = apply
        return result

    def _confirm(self, request: dict[str, Any]) -> dict[str, Any]:
        from .confirm import confirm

        self._use_root(request)
        return confirm(self._host, request["token"])

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        from .observe import observe

        self._use_root(request)
        return {"checks": observe(self._host, request["checks"])}

    def _make_plan(self, request: dict[str, Any]) -> Planning:
        from .facts import gather, with_journal
        from .plan import Planning
        from .planner import plan

        self._use_root(request)
        if request.get("lock"):
            self._take_lock(request["lock"])
        document = {} if request.get("delete") else request["document"]
        resource, owned = request["resource"], request.get("owned") or {}
        self._host.forget_names()
        self._host.key = bytes.fromhex(request.get("key") or "")
        self._host.hide(_secrets(document))
        facts = gather(self._host, document, owned, resource)
        self._known = owned
        owned = with_journal(owned, facts.get("journal"))
        keyed = self._host.keyed_hash
        self._planning = plan(Planning(document, facts, owned, resource=resource, keyed_hash=keyed))
        self._plan_id = os.urandom(8).hex()
        return self._planning

    def _use_root(self, request: dict[str, Any]) -> None:
        root = request.get("root") or "/"
        if not os.path.isdir(root):
            raise AgentError("refused", f"the root prefix {root!r} is no directory on the host: create it first")
        if self._lock is not None and self._lock.held and self._host.root != root.rstrip("/"):
            raise invalid("one agent serves one root: start another for this prefix")
        if self._host.root != root.rstrip("/"):
            self._host = Host(root, self._host.runner)

    def _take_lock(self, lock: dict[str, Any]) -> None:
        from .lock import Lock

        if self._lock is None:
            self._lock = Lock(self._host)
        self._lock.take(str(lock.get("holder", "a run")), float(lock.get("wait", 0)))


def _secrets(document: dict[str, Any]) -> Iterator[str]:
    """Find what no message may hold."""
    from .errors import Refusal
    from .plan import content_of

    for entry in document.get("files", {}).values():
        if entry.get("secret"):
            try:
                data = content_of(entry).data or b""
            except Refusal:  # the plan tells what is wrong with it
                continue
            yield data.decode("utf-8", "replace")
    for entry in document.get("steps", {}).values():
        yield entry.get("stdin", "")
        if entry.get("secret"):
            yield from entry.get("environment", {}).values()


def main() -> int:
    """Serve until the caller closes the line; returns the exit status."""
    os.umask(_UMASK)
    caller = Caller()
    agent = Agent(caller)
    try:
        while (request := caller.next()) is not None:
            if request.get("kind") == "cancel":
                continue  # it came when its request was done already
            agent.acknowledge()
            if request.get("kind") == "end":
                break
            try:
                reply = {"event": "result", "kind": request.get("kind"), **agent.answer(request)}
            except AgentError as error:
                reply = {"event": "error", "error": agent.public(error)}
            except Exception as error:  # noqa: BLE001 the caller is told also of a mistake in the agent
                from .applying import unforeseen

                reply = {"event": "error", "error": agent.public(unforeseen(error))}
            caller.send(reply)
    except ProtocolError as error:
        caller.send({"event": "error", "error": invalid(str(error)).public()})
        return _GONE
    finally:
        agent.end()
    return 0
