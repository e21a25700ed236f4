"""The fork server of a run: it imports what the run's processes need while the stack is still being checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from cli import healing
from cli.stack import PROJECT, Stack
from toolchain import engine_home
from toolchain.fork_server.owner import fork_server

_HOST_PLUGIN = "toolchain.plugins.factory_host.provider"
_MODULES = {
    "apps": ("components.app_stack.component",),
    "cm5_gateway": ("components.cm5_gateway.component", _HOST_PLUGIN),
    "hosts": ("components.host.machine", _HOST_PLUGIN),
    "longhorn": ("components.longhorn.component",),
    "postgres_foundation": ("components.services.postgres.component",),
    "traefik_gateway": ("components.traefik_gateway.component", _HOST_PLUGIN),
    "vault_foundation": ("components.services.vault.component",),
}
"""What the program imports for a section, and the one plugin that imports much besides."""


@dataclass(frozen=True)
class Forks:
    """What the next run of the engine is given."""

    mark: str
    """Of that run: the server and its forks carry it."""
    variables: dict[str, str]
    """By which the run's processes find the server; empty if the engine brings a language host of its own."""
    server: AbstractContextManager[object]
    """Ends the server on leaving: inside of the run, so that nothing is left when its mark is looked for."""


@contextmanager
def forks(stack: Stack) -> Iterator[Forks]:
    """Start a fork server for one run of the engine, and end it at the latest when this block is left."""
    mark = healing.new_mark()
    declared = dict.fromkeys(
        module for section, modules in _MODULES.items() if f"{PROJECT}:{section}" in stack.config for module in modules
    )
    with ExitStack() as server:
        variables: dict[str, str] = {}
        if engine_home.own_host():
            variables = server.enter_context(fork_server(os.environ | {healing.RUN_VARIABLE: mark}, list(declared)))
        yield Forks(mark, variables, server)
