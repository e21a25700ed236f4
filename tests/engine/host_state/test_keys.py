"""Logins with certificates and with hardware keys, against a real OpenSSH server."""

from __future__ import annotations

import asyncio
import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.host import RemoteHost
from components.host.transport import UnreachableError
from components.host.transport_ssh import Login, SshTransport
from tests.support.security_key import SecurityKey, agent_with
from tests.support.ssh_server import SshServer, ssh_server, sshd

pytestmark = pytest.mark.skipif(sshd() is None, reason="needs an OpenSSH server on this machine")

USER = getpass.getuser()
NO_AGENT = "/dev/null"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("keys")
    keygen("-t", "ed25519", "-f", place / "ca")
    return place


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[SshServer]:
    """A server that admits whom its authority has certified."""
    with ssh_server(folder, TrustedUserCAKeys=str(folder / "ca.pub")) as running:
        yield running


def keygen(*arguments: str | Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-N", "", *arguments], check=True, stdin=subprocess.DEVNULL)


def said(server: SshServer, login: Login | None = None, **given: Any) -> str:
    """What a program there says, or why there was no login."""
    plain = {"address": "127.0.0.1", "port": server.port, "user": USER, "host_key": server.host_key, "ssh_config": None}
    transport = SshTransport(RemoteHost.model_validate(plain | given), login)

    async def work() -> str:
        try:
            return (await (await transport.start("echo there")).receive()).decode()
        finally:
            await transport.close()

    try:
        return asyncio.run(work())
    except UnreachableError as error:
        return str(error)


def certified(folder: Path, name: str, *options: str) -> Path:
    """Make a key of that name, and its certificate beside it."""
    keygen("-t", "ed25519", "-f", folder / name)
    keygen("-s", folder / "ca", "-I", name, *options, folder / f"{name}.pub")
    return folder / name


def test_a_certificate_beside_its_key_opens_the_machine(server: SshServer, folder: Path) -> None:
    key = certified(folder, "good", "-n", USER, "-V", "+1h")
    assert said(server, identity_file=str(key), agent_socket=NO_AGENT) == "there\n"
    keygen("-p", "-f", key, "-P", "", "-N", "open sesame")
    locked = Login(passphrase="open sesame")
    assert said(server, locked, identity_file=str(key), agent_socket=NO_AGENT) == "there\n"
    keygen("-p", "-f", key, "-P", "open sesame", "-N", "")
    # The key itself is not among the authorized ones.
    (folder / "good-cert.pub").rename(folder / "elsewhere-cert.pub")
    assert "refuses the login: Permission denied" in said(server, identity_file=str(key), agent_socket=NO_AGENT)
    config = folder / "config-of-the-operator"
    lines = f"Host node\n HostName 127.0.0.1\n IdentityFile {key}\n CertificateFile {folder}/elsewhere-cert.pub\n"
    config.write_text(lines)
    assert said(server, address="node", ssh_config=str(config), agent_socket=NO_AGENT) == "there\n"


@pytest.mark.parametrize(
    ("name", "options"), [("expired", ("-n", USER, "-V", "-2h:-1h")), ("stranger", ("-n", "somebody-else"))]
)
def test_a_certificate_that_does_not_hold_is_refused(
    server: SshServer, folder: Path, name: str, options: tuple[str, ...]
) -> None:
    key = certified(folder, name, *options)
    assert "refuses the login: Permission denied" in said(server, identity_file=str(key), agent_socket=NO_AGENT)


def test_a_certificate_of_the_agent_opens_the_machine(server: SshServer, folder: Path, tmp_path: Path) -> None:
    key, place = certified(folder, "held", "-n", USER), tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.PIPE, text=True) as agent:
        try:
            assert agent.stdout is not None
            agent.stdout.readline()
            added = ["env", f"SSH_AUTH_SOCK={place}", "ssh-add", "-q", str(key)]
            subprocess.run(added, check=True, stdin=subprocess.DEVNULL)
            assert said(server, agent_socket=str(place)) == "there\n"
        finally:
            agent.terminate()


def test_a_certified_host_shows_its_pinned_key(folder: Path, tmp_path: Path) -> None:
    """The certificate of a host's key is not asked for: what is pinned is the key."""
    own = tmp_path / "own"
    keygen("-t", "ed25519", "-f", own)
    keygen("-s", folder / "ca", "-h", "-I", "host", "-n", "127.0.0.1", f"{own}.pub")
    with ssh_server(tmp_path, HostKey=str(own), HostCertificate=f"{own}-cert.pub") as certified_host:
        scan = ["ssh-keyscan", "-c", "-p", str(certified_host.port), "127.0.0.1"]
        assert "-cert-v01@openssh.com" in subprocess.run(scan, capture_output=True, text=True, check=True).stdout
        pinned = " ".join((tmp_path / "own.pub").read_text().split()[:2])
        assert said(certified_host, Login(certified_host.private_key), host_key=pinned) == "there\n"


def test_a_hardware_key_signs_through_its_agent(server: SshServer, folder: Path, tmp_path: Path) -> None:
    key, place = SecurityKey(), tmp_path / "agent"
    with (folder / "authorized_keys").open("a") as admitted:
        admitted.write(f"{key.public_line}\n")
    (tmp_path / "id_sk").write_text(key.private_file)
    (tmp_path / "id_sk").chmod(0o600)
    (tmp_path / "id_sk.pub").write_text(f"{key.public_line}\n")
    config = tmp_path / "config"
    config.write_text(f"Host node\n HostName 127.0.0.1\n IdentityFile {tmp_path}/id_sk\n")
    ways: list[dict[str, Any]] = [
        {},
        {"identity_file": str(tmp_path / "id_sk")},
        {"identity_file": str(tmp_path / "id_sk.pub")},
        {"address": "node", "ssh_config": str(config)},
    ]
    with agent_with(key, place):
        for touches, way in enumerate(ways, 1):
            assert said(server, **way, agent_socket=str(place)) == "there\n"
            assert key.touches == touches
    # Without its agent nobody can have it touched.
    advice = "a hardware key (sk-) signs through an SSH agent only: add it with `ssh-add`"
    for login, way in ((None, ways[1]), (None, ways[3]), (Login(key.private_file), {})):
        message = said(server, login, **way, agent_socket=NO_AGENT)
        assert "refuses the login: Permission denied" in message
        assert advice in message
    assert advice not in said(server, identity_file=str(folder / "ca"), agent_socket=NO_AGENT)
