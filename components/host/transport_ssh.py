"""A host over SSH with asyncssh. Only the provider's process imports this, never the Pulumi program.

The server's key is compared with the pinned one and nothing else: no file of known hosts can add to it. A ``ProxyJump``
that only the SSH configuration file names is verified against the operator's known hosts, as ``ssh`` does.
"""

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncssh

from .public_key import algorithm, fingerprint
from .remote_host import DEFAULT_PORT, JumpHost, RemoteHost
from .ssh_config import config_files, gives, not_followed
from .transport import MisdescribedError, UnreachableError

__all__ = ["JumpConnections", "Login", "SshChannel", "SshTransport", "scan_host_keys"]

_READ_BYTES: Final = 256 * 1024
_STDERR_BYTES: Final = 8 * 1024
_ALIVE_COUNT: Final = 3
_SIGNATURES: Final = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
    "sk-ssh-ed25519@openssh.com": ("sk-ssh-ed25519@openssh.com",),
    "sk-ecdsa-sha2-nistp256@openssh.com": ("sk-ecdsa-sha2-nistp256@openssh.com",),
}
"""How a server with a key of this kind signs."""
_CIPHERS: Final = "^aes256-gcm@openssh.com,aes128-gcm@openssh.com"
"""These before the others: as strong as ChaCha20, which costs asyncssh ten operations per packet instead of one."""
_HARDWARE: Final = b"sk-"
_USUAL: Final = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


@dataclass(frozen=True)
class Login:
    """Secrets of a connection, as plain text; never shown."""

    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)


class SshChannel:
    """A program started over a connection."""

    def __init__(self, place: str, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._place = place
        self._process = process
        self._stderr = asyncio.create_task(self._tail())

    async def send(self, data: bytes) -> None:
        """Write to its standard input."""
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (OSError, asyncssh.Error):
            raise self._lost() from None

    async def receive(self) -> bytes:
        """Return what it has written since; empty at the end."""
        try:
            return await self._process.stdout.read(_READ_BYTES)
        except (OSError, asyncssh.Error):
            raise self._lost() from None

    async def ended(self) -> tuple[int | None, str]:
        """Wait for its end."""
        words = await self._stderr
        with contextlib.suppress(OSError, asyncssh.Error):
            await self._process.wait_closed()
        return (None if self._process.exit_signal else self._process.exit_status), words

    def kill(self) -> None:
        """Close the channel: the program sees the end of its input."""
        self._process.close()

    async def _tail(self) -> str:
        kept = b""
        with contextlib.suppress(OSError, asyncssh.Error):
            while piece := await self._process.stderr.read(_READ_BYTES):
                kept = (kept + piece)[-_STDERR_BYTES:]
        return kept.decode("utf-8", "replace")

    def _lost(self) -> UnreachableError:
        return UnreachableError(f"{self._place}: the connection was lost")


class JumpConnections:
    """Connections to jump hosts, one each however many hosts lie behind it."""

    def __init__(self) -> None:
        self._open: dict[tuple[Any, ...], asyncio.Task[asyncssh.SSHClientConnection]] = {}

    async def through(self, host: RemoteHost, login: Login) -> asyncssh.SSHClientConnection | None:
        """Return the connection of the last jump host on the way to ``host``; None without any."""
        tunnel: asyncssh.SSHClientConnection | None = None
        for count in range(1, len(host.jump_hosts) + 1):
            way = (host.jump_hosts[:count], host.identity_file, host.agent_socket, host.ssh_config, login)
            task = self._open.get(way)
            if task is None or (task.done() and (task.exception() or task.result().is_closed())):
                task = asyncio.create_task(_dial(host.jump_hosts[count - 1], host, login, tunnel))
                self._open[way] = task
            tunnel = await asyncio.shield(task)
        return tunnel

    async def close(self) -> None:
        """Disconnect from all, the farthest first."""
        for task in reversed(self._open.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, UnreachableError):
                connection = await task
                connection.close()
                await connection.wait_closed()
        self._open.clear()


class SshTransport:
    """One connection to one host, made when it is first needed and again after it was lost."""

    def __init__(
        self,
        host: RemoteHost,
        login: Login | None = None,
        *,
        jumps: JumpConnections | None = None,
    ) -> None:
        self.host = host
        self._login = login or Login()
        self._jumps = jumps or JumpConnections()
        self._own_jumps = jumps is None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._dialling = asyncio.Lock()

    @property
    def place(self) -> str:
        """How messages name the host."""
        return self.host.place

    async def connect(self) -> None:
        """Connect, unless that is done."""
        await self._connected()

    async def start(self, command: str) -> SshChannel:
        """Start a command, connecting first."""
        connection = await self._connected()
        try:
            process = await connection.create_process(command, encoding=None)
        except (OSError, asyncssh.Error) as error:
            reason = _reason(error)
            raise UnreachableError(f"{self.place} starts no command over the connection: {reason}") from None
        return SshChannel(self.place, process)

    async def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            with contextlib.suppress(OSError, asyncssh.Error):
                await self._connection.wait_closed()
            self._connection = None
        if self._own_jumps:
            await self._jumps.close()

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._dialling:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            tunnel = await self._jumps.through(self.host, self._login)
            self._connection = await _dial(self.host, self.host, self._login, tunnel)
            return self._connection


async def scan_host_keys(address: str, *, port: int | None, ssh_config: str, seconds: float) -> list[str]:
    """Return the public keys which the server at ``address`` shows, one of each usual kind. Nothing is trusted by it.

    Raises UnreachableError.
    """
    found: list[str] = []
    for kind, signatures in _SIGNATURES.items():
        if found and kind not in _USUAL:
            continue  # a server counts fruitless attempts against us
        # A server without a key of this kind ends the conversation.
        absent = contextlib.suppress(asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError)
        async with _explained(address, seconds):
            with absent:
                key = await asyncssh.get_server_host_key(
                    address, port or (), server_host_key_algs=list(signatures), config=config_files(ssh_config)
                )
                if key is not None:
                    found.append(" ".join(key.export_public_key().decode().split()[:2]))
    if not found:
        raise UnreachableError(f"{address} shows no host key of a kind that is known here")
    return found


class _Pinned(asyncssh.SSHClient):
    """Accepts one key, and remembers the one it was shown."""

    def __init__(self, pinned: str) -> None:
        self._pinned = pinned
        self.shown: str | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Compare with the pinned key."""
        del host, addr, port
        self.shown = " ".join(key.export_public_key().decode().split()[:2])
        return self.shown == self._pinned


async def _dial(
    to: RemoteHost | JumpHost, host: RemoteHost, login: Login, tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    """Connect to a machine or to a jump host on the way to it; the login is the machine's for both."""
    place = host.place if to is host else f"{to.address}:{to.port or DEFAULT_PORT} (the jump host of {host.place})"
    client = _Pinned(to.host_key)
    first = algorithm(to.host_key)
    others = [name for kind, names in _SIGNATURES.items() if kind != first for name in names]
    options: dict[str, Any] = {
        "username": to.user or (),
        "known_hosts": ([], [], []),
        # The others are offered too, so that a changed key is shown and not only missed.
        "server_host_key_algs": [*_SIGNATURES[first], *others],
        "x509_trusted_certs": None,
        "encryption_algs": () if gives(host.ssh_config, to.address, "ciphers") else _CIPHERS,
        "config": config_files(host.ssh_config),
        "tunnel": tunnel or (() if to is host and not host.jump_hosts else None),
        "keepalive_interval": max(host.silence_timeout / _ALIVE_COUNT, 1),
        "keepalive_count_max": _ALIVE_COUNT,
        "passphrase": login.passphrase,
    }
    try:
        async with _explained(
            place, host.connect_timeout, lambda: _ignored(host), lambda: _keys_advice(to, host, login)
        ):
            options |= _keys(host, login)
            return await asyncssh.connect(to.address, to.port or (), client_factory=lambda: client, **options)
    except asyncssh.HostKeyNotVerifiable as error:
        if client.shown is None:
            raise MisdescribedError(
                f"{place}: the key of a jump host is not among the known hosts ({_reason(error)}); describe it in "
                "jump_hosts with its pinned key, or log in to it once with `ssh`"
            ) from None
        raise MisdescribedError(
            f"{place} shows another host key than the pinned one: pinned {_shown(to.host_key)}, shown "
            f"{_shown(client.shown)}. If the host was installed anew, compare the shown one on its console and change "
            "host_key; otherwise somebody stands in between"
        ) from None


def _keys(host: RemoteHost, login: Login) -> dict[str, Any]:
    """Return which keys are tried: the given one alone, or what the configuration file and the agent have."""
    if login.private_key is not None:
        return {
            "client_keys": [_opened(login.private_key.encode(), login.passphrase)],
            "agent_path": None,
            "passphrase": None,
        }
    keys: dict[str, Any] = {}
    if host.agent_socket is not None:
        keys["agent_path"] = host.agent_socket
    if host.identity_file is None:
        return keys
    if host.identity_file.endswith(".pub"):
        keys["agent_identities"] = [host.identity_file]
    elif login.passphrase is None:
        keys["client_keys"] = [host.identity_file]
    else:
        file = Path(host.identity_file).expanduser()
        keys["client_keys"] = [_opened(file.read_bytes(), login.passphrase)]
        certificate = file.with_name(f"{file.name}-cert.pub")
        keys |= {"client_certs": [certificate]} if certificate.is_file() else {}
    return keys


@functools.cache
def _opened(key: bytes, passphrase: str | None) -> asyncssh.SSHKey:
    """Open a private key, once for all the hosts that it opens: to decrypt it takes a tenth of a second."""
    return asyncssh.import_private_key(key, passphrase)


def _ignored(host: RemoteHost) -> Iterator[str]:
    """Say what of the operator's configuration has no effect here, though it may be what makes `ssh` get through."""
    if ignored := not_followed(host.ssh_config, host.address):
        yield f"not followed in the SSH configuration file: {', '.join(map(str, ignored))}"


def _keys_advice(to: RemoteHost | JumpHost, host: RemoteHost, login: Login) -> Iterator[str]:
    """Say which of the keys that were tried could not have signed."""
    with contextlib.suppress(OSError, ValueError, asyncssh.Error):
        given = {"config": config_files(host.ssh_config), "passphrase": login.passphrase} | _keys(host, login)
        options = asyncssh.SSHClientConnectionOptions(host=to.address, **given)
        if any(pair.algorithm.startswith(_HARDWARE) for pair in options.client_keys or ()):
            yield (
                "a hardware key (sk-) signs through an SSH agent only: add it with `ssh-add`, and name the agent's "
                "socket in SSH_AUTH_SOCK, in IdentityAgent, or in agent_socket"
            )


@contextlib.asynccontextmanager
async def _explained(
    place: str,
    seconds: float,
    ignored: Callable[[], Iterable[str]] = lambda: (),
    keys_advice: Callable[[], Iterable[str]] = lambda: (),
) -> AsyncIterator[None]:
    """Limit the time, and turn what goes wrong into one sentence; a key that is not the pinned one passes."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
        raise
    except TimeoutError:
        message = f"cannot reach {place}: no answer within {seconds:g} s"
        raise UnreachableError("; ".join([message, *ignored()])) from None
    except asyncssh.PermissionDenied as error:
        message = f"{place} refuses the login: {_reason(error)}"
        raise UnreachableError("; ".join([message, *ignored(), *keys_advice()])) from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise MisdescribedError(
            f"the private key for {place} cannot be read: it or its passphrase is wrong ({_reason(error)})"
        ) from None
    except asyncssh.ConfigParseError as error:
        raise MisdescribedError(f"the SSH configuration for {place} cannot be followed: {_reason(error)}") from None
    except (OSError, asyncssh.Error) as error:
        raise UnreachableError("; ".join([f"cannot reach {place}: {_reason(error)}", *ignored()])) from None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return f"{error.filename}: " * bool(error.filename) + os.strerror(error.errno or 0)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _shown(key: str) -> str:
    return f"{algorithm(key)} {fingerprint(key)}"
