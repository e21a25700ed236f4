"""How the agent's program is started as root, with a `sudo` that behaves like the real one, and no secret in sight."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from components.host import RemoteHost, Sudo
from components.host.command import SUDO_REFUSED, agent_command, preamble
from components.host.transport_local import LocalTransport

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
PASSWORD = "pass 'word' \\n$x"
ECHO = "import os,sys\nd=b''\nwhile 1:\n c=os.read(0,99)\n if not c:break\n d+=c\nos.write(1,b'got '+d)"
# Asks for the password unless it need not, gives up when its input ends, and never asks more than three times.
SUDO = """#!/bin/sh
asked=0; may_ask=1
while :; do
  case $1 in
    -n) may_ask=0; shift ;;
    -S|-k) shift ;;
    -p) shift 2 ;;
    --) shift; break ;;
  esac
done
[ -e "$0.nopasswd" ] && exec "$@"
[ $may_ask = 1 ] || { echo "sudo: a password is required" >&2; exit 1; }
echo x >>"$0.attempts"
while [ $asked -lt 3 ]; do
  IFS= read -r given || { echo "sudo: no password was provided" >&2; exit 1; }
  [ "$given" = "$(cat "$0.password")" ] && exec "$@"
  echo "Sorry, try again." >&2; asked=$((asked + 1)); echo x >>"$0.attempts"
done
echo "sudo: 3 incorrect password attempts" >&2; exit 1
"""


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program, which takes PASSWORD."""
    program = tmp_path / "sudo"
    program.write_text(SUDO)
    program.chmod(0o755)
    Path(f"{program}.password").write_text(PASSWORD)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def run(way: Sudo, password: str | None) -> tuple[bytes, int | None, str]:
    """Start a program that repeats its input; returns its output, exit status and complaints."""
    host = RemoteHost(address="node.example.test", host_key=KEY, sudo=way)

    async def work() -> tuple[bytes, int | None, str]:
        transport = LocalTransport()
        channel = await transport.start(agent_command(host, ECHO))
        await channel.send(preamble(host, password) + b"\x00\xffprogram\n")
        channel.finish()
        output = b""
        while piece := await channel.receive():
            output += piece
        return (output, *await channel.ended())

    return asyncio.run(work())


def test_no_sudo() -> None:
    assert run(Sudo.NONE, None) == (b"got \x00\xffprogram\n", 0, "")


def test_the_password_comes_on_standard_input_and_goes_no_further(sudo: Path) -> None:
    assert run(Sudo.PASSWORD, PASSWORD) == (b"got \x00\xffprogram\n", 0, "")
    host = RemoteHost(address="node.example.test", host_key=KEY, sudo=Sudo.PASSWORD)
    assert PASSWORD not in agent_command(host, ECHO)
    assert sudo.exists()


def test_a_sudo_that_needs_no_password_leaves_it_unread(sudo: Path) -> None:
    Path(f"{sudo}.nopasswd").touch()
    assert run(Sudo.PASSWORD, "whatever") == (b"got \x00\xffprogram\n", 0, "")
    assert run(Sudo.PASSWORDLESS, None) == (b"got \x00\xffprogram\n", 0, "")


def test_a_wrong_password_is_tried_once(sudo: Path) -> None:
    output, status, complaint = run(Sudo.PASSWORD, "wrong")
    assert (output, status) == (b"", SUDO_REFUSED)
    assert "no password was provided" in complaint
    assert len(Path(f"{sudo}.attempts").read_text().split()) == 2, "one password, and the end of the input"


def test_a_sudo_that_asks_is_refused_where_none_is_expected(sudo: Path) -> None:
    output, status, complaint = run(Sudo.PASSWORDLESS, None)
    assert (output, status) == (b"", SUDO_REFUSED)
    assert "a password is required" in complaint
    assert sudo.exists()


@pytest.mark.parametrize("password", [None, "", "two\nlines", "null\0"])
def test_what_cannot_be_a_password_is_refused_here(password: str | None) -> None:
    host = RemoteHost(address="node.example.test", host_key=KEY, sudo=Sudo.PASSWORD)
    with pytest.raises(ValueError, match="sudo_password") as refused:
        preamble(host, password)
    assert "two" not in str(refused.value)
