"""How the agent's program is started as root, with a `sudo` that behaves like the real one, and no secret in sight."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from components.host import RemoteHost, Sudo
from components.host.command import SUDO_REFUSED, agent_command, preamble
from components.host.transport import UnreachableError
from components.host.transport_local import LocalTransport
from tests.support.fake_sudo import FakeSudo

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
PASSWORD = "pass 'word' \\n$x"
ECHO = "import os,sys\nd=b''\nwhile 1:\n c=os.read(0,99)\n if not c:break\n d+=c\nos.write(1,b'got '+d)"


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSudo:
    """The program, which takes PASSWORD."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return FakeSudo.write(tmp_path, PASSWORD)


def run(way: Sudo, password: str | None) -> tuple[bytes, int | None, str]:
    """Start a program that repeats its input; returns its output, exit status and complaints."""
    host = RemoteHost(address="node.example.test", host_key=KEY, sudo=way)

    async def work() -> tuple[bytes, int | None, str]:
        transport = LocalTransport()
        channel = await transport.start(agent_command(host, ECHO))
        with contextlib.suppress(UnreachableError):  # a refused one may have ended before it heard all
            await channel.send(preamble(host, password) + b"\x00\xffprogram\n")
        channel.finish()
        output = b""
        while piece := await channel.receive():
            output += piece
        return (output, *await channel.ended())

    return asyncio.run(work())


def test_no_sudo() -> None:
    assert run(Sudo.NONE, None) == (b"got \x00\xffprogram\n", 0, "")


def test_the_password_comes_on_standard_input_and_goes_no_further(sudo: FakeSudo) -> None:
    assert run(Sudo.PASSWORD, PASSWORD) == (b"got \x00\xffprogram\n", 0, "")
    host = RemoteHost(address="node.example.test", host_key=KEY, sudo=Sudo.PASSWORD)
    assert PASSWORD not in agent_command(host, ECHO)
    assert sudo.attempts == 2, "once to try it, once for the program"


def test_a_sudo_that_needs_no_password_leaves_it_unread(sudo: FakeSudo) -> None:
    sudo.ask_no_more()
    assert run(Sudo.PASSWORD, "whatever") == (b"got \x00\xffprogram\n", 0, "")
    assert run(Sudo.PASSWORDLESS, None) == (b"got \x00\xffprogram\n", 0, "")


def test_a_wrong_password_is_tried_once(sudo: FakeSudo) -> None:
    output, status, complaint = run(Sudo.PASSWORD, "wrong")
    assert (output, status) == (b"", SUDO_REFUSED)
    assert "no password was provided" in complaint
    assert sudo.attempts == 2, "one password, and the end of the input"


def test_a_sudo_that_asks_is_refused_where_none_is_expected(sudo: FakeSudo) -> None:
    output, status, complaint = run(Sudo.PASSWORDLESS, None)
    assert (output, status) == (b"", SUDO_REFUSED)
    assert "a password is required" in complaint
    assert sudo.attempts == 0


@pytest.mark.parametrize("password", [None, "", "two\nlines", "null\0"])
def test_what_cannot_be_a_password_is_refused_here(password: str | None) -> None:
    host = RemoteHost(address="node.example.test", host_key=KEY, sudo=Sudo.PASSWORD)
    with pytest.raises(ValueError, match="sudo_password") as refused:
        preamble(host, password)
    assert "two" not in str(refused.value)
