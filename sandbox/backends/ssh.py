"""An OpenSSH server on loopback for whoever runs the sandbox: the machine that the sandbox stack manages as a host.

It has keys of its own and lets one key in. What is managed lies below a directory of its own, not in the machine's.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from sandbox.endpoints import SshEndpoint
from sandbox.errors import SandboxError
from sandbox.files import make_directory, write_private
from sandbox.layout import Layout
from sandbox.ports import LOOPBACK
from sandbox.service import Service

NAME = "sshd"
_HOST_KEY, _CLIENT_KEY = "host", "client"
# Made by Debian's unit, which does not run here; the server refuses to be root without it.
_SEPARATION = Path("/run/sshd")

_GREETING_SECONDS = 5

_SETTINGS = """\
Port {port}
ListenAddress {host}
HostKey "{host_key}"
AuthorizedKeysFile "{authorized}"
AuthenticationMethods publickey
AllowUsers {user}
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PidFile none
MaxSessions 100
MaxStartups 100
AllowTcpForwarding no
X11Forwarding no
PrintMotd no
"""


def prepare(layout: Layout, server: Path, port: int) -> Service:
    """Make the keys the first time, write the settings, return the process."""
    make_directory(layout.host_root)
    client = _key(layout, _CLIENT_KEY)
    write_private(layout.ssh / "authorized_keys", f"{client}\n".encode())
    _key(layout, _HOST_KEY)
    settings = _SETTINGS.format(
        port=port,
        host=LOOPBACK,
        host_key=layout.ssh / _HOST_KEY,
        authorized=layout.ssh / "authorized_keys",
        user=getpass.getuser(),
    )
    path = layout.ssh / "sshd_config"
    write_private(path, settings.encode())
    if os.geteuid() == 0:
        make_directory(_SEPARATION, mode=0o755)
    return Service(name=NAME, argv=(str(server), "-D", "-e", "-f", str(path)), address=f"{LOOPBACK}:{port}")


def endpoint(layout: Layout, port: int) -> SshEndpoint:
    """Describe the host for the stacks."""
    return SshEndpoint(
        address=LOOPBACK,
        port=port,
        user=getpass.getuser(),
        host_key=_public(layout, _HOST_KEY),
        identity_file=str(layout.ssh / _CLIENT_KEY),
        root=str(layout.host_root),
        python=os.path.realpath(sys.executable),
    )


async def answers(port: int) -> bool:
    """Tell whether the server greets, within a few seconds."""
    import asyncio  # noqa: PLC0415 - only the supervisor asks

    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(_GREETING_SECONDS):
            return (await reader.readline()).startswith(b"SSH-")
    except OSError:  # the end of the time as well
        return False
    finally:
        writer.close()


def _key(layout: Layout, name: str) -> str:
    """Return the public half of a key, making the pair the first time; the public half last: it is looked for."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - slow to import, and needed once
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see above

    private, public = layout.ssh / name, layout.ssh / f"{name}.pub"
    if not public.exists():
        key = Ed25519PrivateKey.generate()
        no_passphrase = serialization.NoEncryption()
        pem, openssh = serialization.Encoding.PEM, serialization.Encoding.OpenSSH
        write_private(private, key.private_bytes(pem, serialization.PrivateFormat.OpenSSH, no_passphrase))
        line = key.public_key().public_bytes(openssh, serialization.PublicFormat.OpenSSH)
        write_private(public, line + b"\n")
    return _public(layout, name)


def _public(layout: Layout, name: str) -> str:
    path = layout.ssh / f"{name}.pub"
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise SandboxError(f"{path} is damaged: ./factory sandbox reset") from error
