"""Commands on a remote host over SSH. The host's key is always pinned."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Final, TypeVar

import asyncssh

from toolchain.plugins.kit import UNKNOWN, Context, Failure, Properties, ProviderError, has_unknown

from .resource import CommandResource, Result, logged

_Result = TypeVar("_Result")

_DEFAULTS: Final[Properties] = {"port": 22, "user": "root", "perDialTimeout": 15, "dialErrorLimit": 10}
"""The official provider's own: TCP port, user, seconds for one attempt, attempts."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_POLL_SECONDS: Final = 0.2


class Ssh:
    """SSH connections, served by one event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, context: Context, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run to the end, the time limit or the user's interruption."""
        return asyncio.run_coroutine_threadsafe(_limited(context, work), self._loop).result()


class RemoteCommand(CommandResource):
    """``command:remote:Command``."""

    def __init__(self, ssh: Ssh) -> None:
        self._ssh = ssh

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Refuse a host without a pinned key."""
        inputs, failures = super().check(context, olds, news)
        return inputs, [*failures, *unpinned(inputs)]

    def execute(self, context: Context, command: str, inputs: Properties, environment: dict[str, str]) -> Result:
        """Run it there; the server decides which variables of the environment it accepts."""
        return self._ssh.run(context, _execute(context, command, inputs, environment))


def unpinned(inputs: Properties) -> Iterator[Failure]:
    """Yield a failure for each host of a connection whose key is not given."""
    connection = inputs.get("connection")
    if not isinstance(connection, dict):
        return
    for path, host in (("connection", connection), ("connection.proxy", connection.get("proxy"))):
        if isinstance(host, dict) and not host.get("hostKey"):
            name = "the host" if host.get("host") is UNKNOWN else host.get("host")
            yield Failure(
                f"{path}.hostKey",
                f"is needed: the key of {name} is always pinned; give its public key as in a known_hosts file, "
                "taken from the host itself",
            )
        elif isinstance(host, dict) and not has_unknown(host):
            try:
                asyncssh.import_public_key(host["hostKey"])
            except asyncssh.KeyImportError:
                yield Failure(f"{path}.hostKey", "is not a public key such as 'ssh-ed25519 AAAA...'")


@contextlib.asynccontextmanager
async def connected(context: Context, settings: Properties) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect, through the proxy if there is one."""
    async with contextlib.AsyncExitStack() as stack:
        tunnel = None
        if settings.get("proxy"):
            tunnel = await stack.enter_async_context(await _dial(context, settings["proxy"], None))
        yield await stack.enter_async_context(await _dial(context, settings, tunnel))


async def _execute(context: Context, command: str, inputs: Properties, environment: dict[str, str]) -> Result:
    shown = logged(context, inputs)
    async with (
        connected(context, inputs["connection"]) as connection,
        connection.create_process(command, env=environment, encoding="utf-8", errors="replace") as process,
    ):
        process.stdin.write(inputs.get("stdin") or "")
        process.stdin.write_eof()
        try:
            stdout, stderr = await asyncio.gather(
                *(_collect(stream, context, shown=name in shown) for name, stream in _streams(process))
            )
            done = await process.wait()
        except asyncio.CancelledError:
            # The server closes a channel only when its command has ended: do not wait for that.
            process.terminate()
            connection.close()
            raise
        number = done.returncode
        return Result(stdout, stderr, -1 if number is None else number)


def _streams(process: asyncssh.SSHClientProcess[str]) -> list[tuple[str, asyncssh.SSHReader[str]]]:
    return [("stdout", process.stdout), ("stderr", process.stderr)]


async def _collect(stream: asyncssh.SSHReader[str], context: Context, *, shown: bool) -> str:
    lines = []
    async for line in stream:
        lines.append(line)
        if shown:
            await asyncio.to_thread(context.log, line.rstrip("\n"))
    return "".join(lines)


async def _dial(
    context: Context, settings: Properties, tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    """Connect to one host, with patience for one which is still starting, none for one with another key."""
    settings = {**_DEFAULTS, **settings}
    where = f"{settings['host']}:{int(settings['port'])}"
    pause, errors = _FIRST_PAUSE, 0
    async with _client_keys(settings, where) as keys:
        while True:
            try:
                return await asyncssh.connect(
                    settings["host"],
                    int(settings["port"]),
                    username=settings["user"],
                    password=settings.get("password"),
                    client_keys=keys,
                    agent_path=None,
                    known_hosts=([asyncssh.import_public_key(settings["hostKey"])], [], []),
                    connect_timeout=settings["perDialTimeout"] or None,
                    tunnel=tunnel,
                    config=None,
                )
            except asyncssh.HostKeyNotVerifiable:
                raise ProviderError(f"{where} shows another host key than the one pinned in hostKey.") from None
            except (OSError, asyncssh.Error) as error:
                errors += 1
                reason = _reason(error)
                if 0 <= settings["dialErrorLimit"] <= errors:
                    raise ProviderError(f"cannot connect to {settings['user']}@{where}: {reason}.") from None
                await asyncio.to_thread(context.status, f"waiting for {where}: {reason}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


@contextlib.asynccontextmanager
async def _client_keys(settings: Properties, where: str) -> AsyncIterator[list[Any] | None]:
    """Give the given key, or the agent's for as long as it is asked; never what happens to lie in the user's home."""
    if settings.get("privateKey"):
        yield [_private_key(settings, where)]
        return
    agent_path = settings.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK")
    async with contextlib.AsyncExitStack() as stack:
        keys: list[Any] = []
        if agent_path:
            try:
                agent = await stack.enter_async_context(await asyncssh.connect_agent(agent_path))
                keys = list(await agent.get_keys())
            except (OSError, asyncssh.Error) as error:
                if settings.get("agentSocketPath"):
                    raise ProviderError(f"the SSH agent at {agent_path} does not answer: {_reason(error)}.") from None
        yield keys or None


def _private_key(settings: Properties, where: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(settings["privateKey"], settings.get("privateKeyPassword"))
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise ProviderError(f"privateKey for {where} cannot be read: it or its password is wrong.") from None


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__


async def _limited(context: Context, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Give up work at the time limit, or when the user interrupts."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (context.timeout or float("inf"))
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait([task], timeout=_POLL_SECONDS))[0]:
        reason = "interrupted" if context.cancelled.is_set() else "out of time" if loop.time() > deadline else ""
        if reason:
            task.cancel()
            await asyncio.wait([task])
            raise ProviderError(f"the remote work was ended: {reason}.")
    try:
        return task.result()
    except (OSError, asyncssh.Error) as error:
        raise ProviderError(f"the connection was lost: {_reason(error)}.") from None
