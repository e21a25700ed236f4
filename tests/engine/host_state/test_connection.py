"""Connections to a real OpenSSH server: pinned keys, jump hosts, agents, the operator's configuration file."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from components.host import JumpHost, RemoteHost
from components.host.transport import UnreachableError
from components.host.transport_ssh import JumpConnections, Login, SshTransport, scan_host_keys
from tests.support.ssh_server import SshServer, ssh_server, sshd

pytestmark = pytest.mark.skipif(sshd() is None, reason="needs an OpenSSH server on this machine")

OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
USER = getpass.getuser()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[SshServer]:
    with ssh_server(folder, LogLevel="VERBOSE") as running:
        yield running


def host(server: SshServer, **given: Any) -> RemoteHost:
    plain = {"address": "127.0.0.1", "port": server.port, "user": USER, "host_key": server.host_key, "ssh_config": None}
    return RemoteHost.model_validate(plain | given)


@asynccontextmanager
async def connected(to: RemoteHost, login: Login, **given: Any) -> AsyncIterator[SshTransport]:
    transport = SshTransport(to, login, **given)
    try:
        await transport.connect()
        yield transport
    finally:
        await transport.close()


def refusal(to: RemoteHost, login: Login) -> str:
    async def work() -> None:
        async with connected(to, login):
            pass

    with pytest.raises(UnreachableError) as refused:
        asyncio.run(work())
    assert "\n" not in str(refused.value)
    return str(refused.value)


def said(to: RemoteHost, login: Login, command: str = "echo there") -> bytes:
    async def work() -> bytes:
        async with connected(to, login) as transport:
            return await (await transport.start(command)).receive()

    return asyncio.run(work())


def logins(folder: Path, at_least: int = 0) -> int:
    """How often somebody logged in; the server may write its log a little later."""
    deadline = time.monotonic() + 30
    while (count := (folder / "log").read_text().count("Accepted publickey")) < at_least:
        assert time.monotonic() < deadline, count
        time.sleep(0.05)
    return count


def test_a_program_there_hears_answers_and_ends(server: SshServer) -> None:
    async def work() -> None:
        async with connected(host(server), Login(server.private_key)) as transport:
            channel = await transport.start("read -r line; echo heard $line; echo careful >&2; exit 7")
            await channel.send(b"this\n")
            assert await channel.receive() == b"heard this\n"
            assert await channel.receive() == b""
            assert await channel.ended() == (7, "careful\n")
            channel = await transport.start("kill -9 $$")
            assert await channel.ended() == (None, "")

    asyncio.run(work())


def test_a_lost_connection_is_told_and_made_again(server: SshServer) -> None:
    async def work() -> None:
        async with connected(host(server), Login(server.private_key)) as transport:
            channel = await transport.start("cat")
            assert transport._connection is not None
            transport._connection.abort()
            assert await channel.receive() == b""
            assert await channel.ended() == (None, "")
            with pytest.raises(UnreachableError, match="the connection was lost"):
                await channel.send(b"more")
            assert await (await transport.start("echo again")).receive() == b"again\n"

    asyncio.run(work())


def test_a_changed_host_key_is_refused_with_both_fingerprints(server: SshServer) -> None:
    shown = asyncssh.import_public_key(server.host_key).get_fingerprint()
    pinned = asyncssh.import_public_key(OTHER).get_fingerprint()
    message = refusal(host(server, host_key=OTHER), Login(server.private_key))
    assert f"pinned ssh-ed25519 {pinned}, shown ssh-ed25519 {shown}" in message
    other_kind = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    assert f"shown ssh-ed25519 {shown}" in refusal(host(server, host_key=other_kind), Login(server.private_key))


def test_failures_name_the_host_and_the_cause(server: SshServer) -> None:
    login, place = Login(server.private_key), f"127.0.0.1:{server.port}"
    assert refusal(host(server, port=9), login) == "cannot reach 127.0.0.1:9: Connection refused"
    assert f"{place} refuses the login: Permission denied" in refusal(host(server, user="nobody-at-all"), login)
    assert f"private key for {place} cannot be read" in refusal(host(server), Login("nonsense"))
    assert "cannot reach host.invalid" in refusal(host(server, address="host.invalid"), login)


def test_a_silent_host_costs_no_more_than_its_time_limit(server: SshServer) -> None:
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        message = refusal(host(server, port=port, connect_timeout=1), Login(server.private_key))
    assert message == f"cannot reach 127.0.0.1:{port}: no answer within 1 s"
    assert time.monotonic() - started < 60


def test_jump_hosts_have_pinned_keys_too_and_are_shared(server: SshServer, folder: Path) -> None:
    login = Login(server.private_key)
    hop = JumpHost(address="127.0.0.1", port=server.port, user=USER, host_key=server.host_key)
    through = host(server, jump_hosts=[hop.model_dump(), hop.model_dump()])
    assert said(through, login) == b"there\n"
    wrong = hop.model_copy(update={"host_key": OTHER}).model_dump()
    assert "(the jump host of" in refusal(host(server, jump_hosts=[wrong]), login)

    async def work() -> None:
        jumps = JumpConnections()
        behind = [SshTransport(through, login, jumps=jumps) for _ in range(5)]
        await asyncio.gather(*(each.connect() for each in behind))
        for each in behind:
            await each.close()
        await jumps.close()

    before = logins(folder)
    asyncio.run(work())
    assert logins(folder, before + 2 + 5) == before + 2 + 5


def test_keys_come_from_a_file_or_an_agent(server: SshServer, folder: Path, tmp_path: Path) -> None:
    assert said(host(server, identity_file=str(folder / "user")), Login()) == b"there\n"
    locked = tmp_path / "locked"
    locked.write_bytes(
        asyncssh.import_private_key(server.private_key).export_private_key("pkcs8-pem", passphrase="open sesame")
    )
    assert said(host(server, identity_file=str(locked)), Login(passphrase="open sesame")) == b"there\n"
    assert said(host(server), Login(locked.read_text(), "open sesame")) == b"there\n"
    assert "cannot be read" in refusal(host(server), Login(locked.read_text(), "wrong"))
    assert "cannot be read" in refusal(host(server, identity_file=str(locked)), Login(passphrase="wrong"))
    nowhere = host(server, identity_file=str(tmp_path / "nowhere"))
    assert "nowhere: No such file or directory" in refusal(nowhere, Login(passphrase="open sesame"))
    agent_socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", agent_socket], stdout=subprocess.DEVNULL) as agent:
        try:
            while not agent_socket.exists():
                time.sleep(0.05)
            subprocess.run(
                ["ssh-add", "-q", folder / "user"], env={**os.environ, "SSH_AUTH_SOCK": str(agent_socket)}, check=True
            )
            (tmp_path / "key.pub").write_text((folder / "user.pub").read_text())
            by_agent = {"agent_socket": str(agent_socket), "identity_file": str(tmp_path / "key.pub")}
            assert said(host(server, **by_agent), Login()) == b"there\n"
        finally:
            agent.terminate()


def test_a_locked_key_is_opened_once_for_all_hosts(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, opened = asyncssh.import_private_key(server.private_key), []
    locked = tmp_path / "locked"
    locked.write_bytes(key.export_private_key("openssh", passphrase="once"))

    def slowly(*given: Any) -> asyncssh.SSHKey:
        opened.append(given)
        return key

    monkeypatch.setattr(asyncssh, "import_private_key", slowly)
    for login in (Login(passphrase="once"), Login(locked.read_text(), "once")):
        assert said(host(server, identity_file=str(locked)), login) == b"there\n"
    assert len(opened) == 1


def test_the_operator_s_configuration_file_is_followed(server: SshServer, folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host node hop\n  HostName 127.0.0.1\n  Port {server.port}\n  User {USER}\n  IdentityFile {folder}/user\n"
        f"  UserKnownHostsFile {tmp_path}/known\nHost node\n  ProxyJump hop\n"
    )
    (tmp_path / "known").touch()
    alias = RemoteHost(address="node", host_key=server.host_key, ssh_config=str(config))
    message = refusal(alias, Login())
    assert "node: the key of a jump host is not among the known hosts" in message
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    assert said(alias, Login()) == b"there\n"
    # The known hosts count for the jump host only: the machine's own key is the pinned one.
    assert "shows another host key" in refusal(alias.model_copy(update={"host_key": OTHER}), Login())
    config.write_text("Host node\n  Port many\n")
    assert "configuration for node cannot be followed" in refusal(alias, Login())
    config.write_text(f"Host node\n  HostName 127.0.0.1\n  Port {server.port}\n  BindInterface eth0\n")
    message = refusal(alias.model_copy(update={"user": "nobody-at-all", "agent_socket": "/dev/null"}), Login())
    named = f"; not followed in the SSH configuration file: BindInterface ({config}:4)"
    assert named in message
    # It may be what is missing on the way, too.
    assert refusal(alias.model_copy(update={"port": 9}), Login()) == f"cannot reach node:9: Connection refused{named}"


@pytest.mark.parametrize(
    ("configured", "used"),
    [("Host other\n  Ciphers aes128-ctr\n", "aes256-gcm@openssh.com"), ("Ciphers aes128-ctr\n", "aes128-ctr")],
)
def test_the_quicker_cipher_comes_first_unless_the_operator_chooses(
    configured: str, used: str, server: SshServer, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(configured)

    async def work() -> list[str]:
        async with connected(host(server, ssh_config=str(config)), Login(server.private_key)) as transport:
            assert transport._connection is not None
            return [transport._connection.get_extra_info(f"{way}_cipher") for way in ("send", "recv")]

    assert asyncio.run(work()) == [used, used]


def test_a_scan_shows_the_keys(server: SshServer) -> None:
    keys = asyncio.run(scan_host_keys("127.0.0.1", port=server.port, ssh_config="", seconds=5))
    assert keys == [server.host_key]
    with pytest.raises(UnreachableError, match=r"cannot reach host\.invalid"):
        asyncio.run(scan_host_keys("host.invalid", port=None, ssh_config="", seconds=5))
