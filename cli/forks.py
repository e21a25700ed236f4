"""The fork server of a run: it imports what the run's processes need while the stack is still being checked.

This is imported before the rest of the command line, so it imports little.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from toolchain import ToolError, engine_home
from toolchain.fork_server.owner import ForkServer, fork_server

if TYPE_CHECKING:
    from cli.stack import Stack

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


class _Begun:
    """A server that is still to be told which stack it is for.

    None if the engine brings a language host of its own, or the system cannot have one.
    """

    def __init__(self) -> None:
        self.mark = new_mark()
        self.end = ExitStack()
        self._server: ForkServer | None = None
        if engine_home.own_host():
            with suppress(OSError):  # without one, the run's processes are processes of their own
                self._server = self.end.enter_context(fork_server(os.environ | {RUN_VARIABLE: self.mark}))

    def serve(self, stack: Stack) -> dict[str, str]:
        """Return the variables by which the run's processes find the server."""
        if self._server is None:
            return {}
        declared = [modules for section, modules in _SECTIONS.items() if stack.declares(section)]
        components = [component for component, *_ in declared]
        plugins = list(dict.fromkeys(plugin for _, *plugins in declared for plugin in plugins))
        return self._server.serve(components, plugins)


_early: Final[list[_Begun]] = []
"""Of the first run to come, if any."""


@contextmanager
def early() -> Iterator[None]:
    """Start the server of the first run in this block at once, before it is known which stack that is about."""
    with ExitStack() as end:
        with suppress(ToolError):  # whoever needs what is missing says so
            _early.append(_Begun())
            end.callback(_early.clear)
            end.enter_context(_early[0].end)
        yield


@contextmanager
def forks(stack: Stack) -> Iterator[Forks]:
    """Give one run of the engine a fork server, and end it at the latest when this block is left."""
    begun = _early.pop() if _early else _Begun()
    with begun.end:
        yield Forks(begun.mark, begun.serve(stack), begun.end)
