"""Start the server: ``python -u -m toolchain.fork_server LISTENER MODULE...``, its owner at the input's other end."""

import contextlib
import gc
import importlib
import socket
import sys

from .server import Server

# What at least two of a run's processes need, whatever the stack has in it; what the engine asks for first comes first.
SHARED = (
    "pulumi",
    "toolchain.language_host.host",
    "pulumi.policy",
    "toolchain.plugins.kit",
    "stacks.settings.program",
)


def main() -> None:
    """Import and serve; in a fork, become what is asked for."""
    server = Server(socket.socket(fileno=int(sys.argv[1])), sys.stdin.fileno())
    gc.disable()
    for module in (*SHARED, *sys.argv[2:]):
        with contextlib.suppress(ImportError):  # whoever needs it says so
            importlib.import_module(module)
        gc.freeze()  # a collection in a fork would copy all of it
        if role := server.serve_between_imports():
            break
    else:
        role = server.serve()
    gc.enable()
    if role is not None:
        role.take()


if __name__ == "__main__":
    main()
