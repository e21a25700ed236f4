"""Start the server: ``python -u -m toolchain.fork_server LISTENER``, with its owner at the input's other end."""

import contextlib
import gc
import importlib
import socket
import sys

from .server import FILES, Role, Server, leave

# What at least two of a run's processes need, whatever the stack has in it; what the engine asks for first comes first.
# Somebody may be served between two of them: so what takes long, and the last one needs, has lines of its own.
SHARED = (
    "pulumi",
    "toolchain.language_host.host",
    "pulumi.policy",
    "toolchain.plugins.kit",
    "pydantic",
    "components.app_stack",
    "stacks.settings.program",
)


def main() -> None:
    """Import and serve; in a fork, become what is asked for."""
    _, listener = sys.argv
    try:
        server = Server(socket.socket(fileno=int(listener)), sys.stdin.fileno())
    except OSError:
        return  # nobody listens, so each client becomes a process of its own
    gc.disable()
    role = _served(server)
    gc.enable()
    if role is None:
        leave(0)
    role.take()


def _served(server: Server) -> Role | None:
    """Return None at the end; in a fork, what it is to be."""
    for module in SHARED:
        if role := _served_after(module, server):
            return role
    if role := server.serve_until_told():
        return role
    for module in server.modules:
        if role := server.serve_all_files() if module == FILES else _served_after(module, server):
            return role
    return server.serve()


def _served_after(module: str, server: Server) -> Role | None:
    with contextlib.suppress(ImportError):  # whoever needs it says so
        importlib.import_module(module)
    gc.freeze()  # a collection in a fork would copy all of it
    return server.serve_between_imports()


if __name__ == "__main__":
    main()
