"""A conversation with the agent on one host: one process there for the whole run, one request at a time.

The host's lock belongs to that process, so it is held until the session is closed.
"""

import asyncio
import contextlib
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .agent import BOOTSTRAP, FrameParser, ProtocolError, blob_frames, bundle, json_frame
from .command import SUDO_REFUSED, agent_command, preamble
from .remote_host import RemoteHost, Sudo
from .transport import Channel, HostError, MisdescribedError, Transport, UnreachableError

__all__ = ["AgentError", "HostSession", "LostError", "Progress", "Stop"]

Message = dict[str, Any]
Progress = Callable[[str], None]
"""Takes a line about what is being done; called on the event loop, so it returns at once."""
Stop = Callable[[], Awaitable[None]]
"""Returns when the user wants the work to end."""

_NOT_FOUND: Final = 127
_LAST_WORDS: Final = 3
_CANCEL_SECONDS: Final = 15.0
"""How long the agent may take to end a command and say what was done."""
_END_SECONDS: Final = 3.0
_LOCK_SECONDS: Final = 30


class AgentError(HostError):
    """The agent answered that it will not or could not."""

    def __init__(self, place: str, error: Mapping[str, Any]) -> None:
        self.code: str = error.get("code", "failed")
        self.details = dict(error)
        super().__init__(f"{place}: {_sentence(error)}")


class LostError(HostError):
    """The connection or the agent ended during a change, or the host took it back: what is there is to be looked at.

    ``owned`` is what was created, if the agent could still tell; otherwise the host's journal knows.
    """

    def __init__(self, message: str, owned: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.owned = owned


@dataclass
class _Running:
    """An agent's process."""

    channel: Channel
    first: bytes = b""
    """Its program, which goes before its first request."""
    parser: FrameParser = field(default_factory=FrameParser)
    waiting: list[Message] = field(default_factory=list)


class HostSession:
    """One host during one run. Everything that asks it queues; a lost agent is started anew by the next request."""

    def __init__(
        self,
        host: RemoteHost,
        connect: Callable[[], Transport],
        *,
        sudo_password: str | None = None,
        holder: str = "factory",
    ) -> None:
        self.host = host
        self._connect = connect
        self._transport = connect()
        self._password = sudo_password
        self._holder = holder
        self._agent: _Running | None = None
        self._turn = asyncio.Lock()

    @property
    def place(self) -> str:
        """How messages name the host."""
        return self._transport.place

    async def plan(self, request: Message) -> Message:
        """Ask what would be done, for a preview: without the host's lock."""
        async with self._turn:
            return await self._ask({"kind": "plan", **self._common(request)})

    async def read(self, request: Message) -> Message:
        """Ask what is really there."""
        async with self._turn:
            return await self._ask({"kind": "read", **self._common(request)})

    async def check(self, checks: Mapping[str, Any], *, seconds: float) -> Message:
        """Observe without changing anything; ``seconds`` limit the whole."""
        async with self._turn, asyncio.timeout(seconds):
            return await self._ask({"kind": "check", "checks": dict(checks), **self._common({})})

    async def apply(
        self,
        request: Message,
        blobs: Mapping[str, bytes],
        *,
        planned: Callable[[Message], None],
        progress: Progress,
        stop: Stop,
    ) -> Message:
        """Plan under the host's lock, apply, and confirm over a fresh connection where that is asked for.

        ``planned`` gets the plan before anything is changed and may raise to refuse it. Raises UnreachableError before
        and LostError after the first change can have happened.
        """
        async with self._turn:
            lock = {"holder": self._holder, "wait": _LOCK_SECONDS}
            common = {**self._common(request), "lock": lock}
            plan = await self._ask({"kind": "plan", **common}, progress=progress, stop=stop)
            planned(plan)
            needed = [blobs[digest] for digest in plan["plan"].get("needs", ())]
            try:
                apply = {"kind": "apply", "plan_id": plan["plan_id"], "lock": lock}
                result = await self._ask(apply, blobs=needed, progress=progress, stop=stop)
            except UnreachableError as error:
                raise LostError(f"{error}; the next run finds out what was done and goes on from there") from None
            if result.get("confirm"):
                progress("confirming over a fresh connection")
                reason = await self._confirm(result["confirm"])
                if reason:
                    message = f"{self.place} takes the change back, for it could not be confirmed: {reason}"
                    raise LostError(message, result["owned"])
            return result

    async def retire(self) -> None:
        """Close when nobody is at it."""
        async with self._turn:
            await self.close()

    async def close(self) -> None:
        """Tell the agent that its last answer arrived, let it give the host's lock back, and disconnect."""
        agent, self._agent = self._agent, None
        if agent is not None:
            with contextlib.suppress(UnreachableError, TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await agent.channel.send(json_frame({"kind": "end"}))
                    await agent.channel.ended()
            agent.channel.kill()
        await self._transport.close()

    def _common(self, request: Message) -> Message:
        return {**request, "root": self.host.root}

    async def _confirm(self, confirm: Message) -> str:
        """Prove that the host can still be reached from outside; returns why it could not be proven in time."""
        deadline = time.monotonic() + confirm["timeout"]
        reason = "no attempt was possible in time"
        while time.monotonic() < deadline:
            fresh = HostSession(self.host, self._connect, sudo_password=self._password, holder=self._holder)
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
                    answer = await fresh._ask({"kind": "confirm", **self._common({"token": confirm["token"]})})
                return "" if answer.get("confirmed") else str(answer.get("reason", "it was too late"))
            except (UnreachableError, TimeoutError) as error:
                reason = str(error) or reason
                await asyncio.sleep(1)
            finally:
                await fresh.close()
        return reason

    async def _ask(
        self,
        message: Message,
        *,
        blobs: Sequence[bytes] = (),
        progress: Progress = lambda _line: None,
        stop: Stop | None = None,
    ) -> Message:
        """Send a request and wait for its answer.

        An agent that turns out to have ended since its last answer is replaced, except for an ``apply``: its plan ended
        with it.
        """
        may_restart = message["kind"] != "apply"
        frames = b"".join([json_frame(message), *(frame for blob in blobs for frame in blob_frames(blob))])
        if self._agent is not None:
            try:
                return await self._exchange(self._agent, frames, progress, stop)
            except UnreachableError:
                if not may_restart:
                    raise
        return await self._exchange(await self._start(), frames, progress, stop)

    async def _exchange(self, agent: _Running, frames: bytes, progress: Progress, stop: Stop | None) -> Message:
        """Talk to one agent; one that is interrupted in the middle of an answer is never asked again."""
        stopping = asyncio.create_task(self._cancel_on(stop, agent)) if stop is not None else None
        try:
            # Why an agent ended is told by the answer that does not come.
            with contextlib.suppress(UnreachableError):
                first, agent.first = agent.first, b""
                await agent.channel.send(first + frames)
            return await self._answer(agent, progress)
        except BaseException as error:
            if not isinstance(error, AgentError):
                self._drop(agent)
            raise
        finally:
            if stopping is not None:
                stopping.cancel()

    async def _start(self) -> _Running:
        """Start an agent and hear its `hello`; its program travels with the first request."""
        try:
            password = preamble(self.host, self._password)
        except ValueError as error:
            raise MisdescribedError(f"{self.place}: {error}") from None
        agent = _Running(await self._transport.start(agent_command(self.host, BOOTSTRAP)))
        try:
            async with asyncio.timeout(self.host.silence_timeout):
                # Why an agent ended is told by the `hello` that does not come.
                with contextlib.suppress(UnreachableError):
                    await agent.channel.send(password)
                hello = await self._message(agent)
            # For a Python like ours it is there already: the pool has it made while the first host is connected to.
            agent.first = await asyncio.to_thread(bundle, hello.get("bytecode", ""))
        except BaseException as error:
            agent.channel.kill()
            if isinstance(error, TimeoutError):
                seconds = self.host.silence_timeout
                raise UnreachableError(f"{self.place}: no agent has started within {seconds:g} s") from None
            raise
        self._agent = agent
        return agent

    async def _answer(self, agent: _Running, progress: Progress) -> Message:
        while True:
            message = await self._message(agent)
            if message.get("event") == "result":
                return message
            if message.get("event") == "error":
                raise AgentError(self.place, message.get("error", {}))
            progress(_progress_line(message))

    async def _message(self, agent: _Running) -> Message:
        while not agent.waiting:
            data = await agent.channel.receive()
            if not data:
                raise await self._last_words(agent)
            try:
                agent.waiting += agent.parser.feed(data)
            except ProtocolError as error:
                raise UnreachableError(f"{self.place}: what answers is not the agent: {error}") from None
        return agent.waiting.pop(0)

    async def _cancel_on(self, stop: Stop, agent: _Running) -> None:
        await stop()
        with contextlib.suppress(UnreachableError):
            await agent.channel.send(json_frame({"kind": "cancel"}))
        await asyncio.sleep(_CANCEL_SECONDS)
        agent.channel.kill()

    def _drop(self, agent: _Running) -> None:
        agent.channel.kill()
        if self._agent is agent:
            self._agent = None

    async def _last_words(self, agent: _Running) -> UnreachableError:
        """Say why an agent ended without an answer."""
        status, stderr = await agent.channel.ended()
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        words = " | ".join(lines[-_LAST_WORDS:])
        if status == SUDO_REFUSED and self.host.sudo is not Sudo.NONE:
            if "incorrect password" in stderr or "no password was provided" in stderr:
                return MisdescribedError(f"{self.place}: the sudo password is wrong")
            return UnreachableError(f"{self.place}: sudo refuses: {words or 'it says nothing'}")
        if status == _NOT_FOUND:
            missing = self.host.python if self.host.sudo is Sudo.NONE else f"sudo or {self.host.python}"
            return UnreachableError(f"{self.place} has no {missing}: install it, or set `python` to where it is")
        if status is None:
            return UnreachableError(f"{self.place}: the agent was ended or the connection was lost")
        said = f": {words}" if words else ""
        return UnreachableError(f"{self.place}: the agent ended with exit status {status}{said}")


def _progress_line(message: Message) -> str:
    count = f"[{message['done']}/{message['total']}] " if message.get("total") else ""
    return f"{count}{message.get('text') or message.get('item', '')}"


def _sentence(error: Mapping[str, Any]) -> str:
    """Say what failed, with the command and the last lines of what it said."""
    text = str(error.get("message") or "the agent failed")
    if error.get("item") and str(error["item"]) not in text:
        text = f"{error['item']}: {text}"
    if error.get("command"):
        text += f" (command: {shlex.join(error['command'])})"
    lines = [line.strip() for line in error.get("stderr") or () if line.strip()]
    return f"{text}: {' | '.join(lines[-_LAST_WORDS:])}" if lines else text
