"""The fork server of a run: it imports what the run's processes need while the stack is still being checked."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from cli.stack import PROJECT, Stack
from toolchain import engine_home
from toolchain.fork_server.owner import fork_server

RUN_VARIABLE: Final = "FACTORY_RUN"
"""All processes of a run carry it, with the mark of that run: by it they are found when nobody waits for them."""
_KUBERNETES, _POSTGRESQL, _HOST = (
    f"toolchain.plugins.{name}.provider" for name in ("kubernetes", "postgresql", "factory_host")
)
_SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "cm5_gateway": ("components.cm5_gateway.component", _HOST),
    "hosts": ("components.host.machine", _HOST),
    "traefik_gateway": ("components.traefik_gateway.component", _HOST),
    "apps": ("components.app_stack.component", _KUBERNETES, _POSTGRESQL),
    "longhorn": ("components.longhorn.component", _KUBERNETES),
    "postgres_foundation": ("components.services.postgres.component", _POSTGRESQL),
    "vault_foundation": ("components.services.vault.component", _KUBERNETES),
}
"""What the program imports for a section, then the plugins that serve it: the engine starts those one by one.

The one that takes longest comes first, when the engine asks for little.
"""


@dataclass(frozen=True)
class Forks:
    """What the next run of the engine is given."""

    mark: str
    """Of that run: the server and its forks carry it."""
    variables: dict[str, str]
    """By which the run's processes find the server; empty if the engine brings a language host of its own."""
    server: AbstractContextManager[object]
    """Ends the server on leaving: inside of the run, so that nothing is left when its mark is looked for."""


def new_mark() -> str:
    """Return what tells the processes of one run from all others."""
    return uuid.uuid4().hex


@contextmanager
def forks(stack: Stack) -> Iterator[Forks]:
    """Start a fork server for one run of the engine, and end it at the latest when this block is left."""
    mark = new_mark()
    declared = [modules for section, modules in _SECTIONS.items() if f"{PROJECT}:{section}" in stack.config]
    components = [component for component, *_ in declared]
    plugins = list(dict.fromkeys(plugin for _, *plugins in declared for plugin in plugins))
    with ExitStack() as server:
        variables: dict[str, str] = {}
        if engine_home.own_host():
            variables = server.enter_context(fork_server(os.environ | {RUN_VARIABLE: mark}, components, plugins))
        yield Forks(mark, variables, server)
