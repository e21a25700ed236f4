"""The same host as the connection of ``pulumi-command``, for true one-shots."""

from typing import Any

import pulumi_command as command

from .credentials import Credentials
from .remote_host import DEFAULT_PORT, RemoteHost

__all__ = ["command_connection"]


def command_connection(host: RemoteHost, credentials: Credentials | None = None) -> command.remote.ConnectionArgs:
    """Describe ``host`` for a ``command.remote.Command``, with its key pinned.

    Raises ValueError for what that package cannot do: it reads no SSH configuration file, so the user must be given,
    and it goes through one jump host at most.
    """
    secrets = credentials or Credentials()
    if host.user is None:
        message = f"host {host.place}: `user` must be given, for pulumi-command reads no SSH configuration file"
        raise ValueError(message)
    if len(host.jump_hosts) > 1:
        message = f"host {host.place} has {len(host.jump_hosts)} jump_hosts: pulumi-command goes through one at most"
        raise ValueError(message)
    login: dict[str, Any] = {
        "private_key": secrets.private_key,
        "private_key_password": secrets.passphrase,
        "agent_socket_path": host.agent_socket,
        "per_dial_timeout": host.connect_timeout,
    }
    proxies = [
        command.remote.ProxyConnectionArgs(
            host=jump.address, port=jump.port, user=jump.user, host_key=jump.host_key, **login
        )
        for jump in host.jump_hosts
    ]
    return command.remote.ConnectionArgs(
        host=host.address,
        port=host.port or DEFAULT_PORT,
        user=host.user,
        host_key=host.host_key,
        proxy=proxies[0] if proxies else None,
        **login,
    )
