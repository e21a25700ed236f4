"""The command line that starts the agent on a host, as root where that is asked for."""

import shlex
from typing import Final

from .remote_host import RemoteHost, Sudo

__all__ = ["SUDO_REFUSED", "agent_command", "preamble"]

SUDO_REFUSED: Final = 96
"""Exit status of a refused sudo."""
_READY: Final = "factory-agent"

_SKIP: Final = (
    "import os\n"
    "b=b''\n"
    f"while b!=b'{_READY}\\n':\n"
    " b=b'' if b[-1:]==b'\\n' else b\n"
    " c=os.read(0,1)\n"
    " if not c:os._exit(97)\n"
    " b+=c\n"
)
"""Reads up to the line after the password: a sudo that needs none leaves the password unread."""

_WITH_PASSWORD: Final = (
    "IFS= read -r p; "
    # One attempt, whose failure is final: a second one would take the agent's program for a password.
    f"printf '%s\\n' \"$p\" | sudo -k -S -p '' -- true || exit {SUDO_REFUSED}; "
    "{ printf '%s\\n' \"$p\"; exec cat; } | sudo -k -S -p '' -- "
)


def agent_command(host: RemoteHost, bootstrap: str) -> str:
    """Return what the host's shell is to run, whichever shell that is. No secret is in it."""
    if host.sudo is Sudo.PASSWORD:
        python = shlex.join([host.python, "-IS", "-c", _SKIP + bootstrap])
        return shlex.join(["env", "LC_ALL=C", "sh", "-c", _WITH_PASSWORD + python])
    python = shlex.join([host.python, "-IS", "-c", bootstrap])
    if host.sudo is Sudo.PASSWORDLESS:
        return shlex.join(["env", "LC_ALL=C", "sh", "-c", f"sudo -n -- {python} || exit {SUDO_REFUSED}"])
    return f"exec {python}"


def preamble(host: RemoteHost, sudo_password: str | None) -> bytes:
    """Return what standard input begins with, before the agent's program.

    Raises ValueError where the password is missing or could not be a line.
    """
    if host.sudo is not Sudo.PASSWORD:
        return b""
    if not sudo_password:
        raise ValueError("sudo is `password` and no sudo_password is given among the credentials")
    if "\n" in sudo_password or "\0" in sudo_password:
        raise ValueError("sudo_password holds a line break or a null character, which no password can")
    return f"{sudo_password}\n{_READY}\n".encode()
