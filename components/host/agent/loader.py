"""How the agent's modules are imported from memory; the first thing that the bootstrap executes.

A module comes as its source, or as the code of a Python like the caller's; what no request asks for stays unread.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing these takes longer than the rest of this file
    from collections.abc import Mapping
    from types import CodeType, ModuleType
    from typing import Any

PACKAGE = "factory_agent"
_NO_DOCSTRINGS = 2


class Finder:
    """Finds the modules of the bundle."""

    def __init__(self, modules: Mapping[str, str | bytes]) -> None:
        self._modules = modules

    def find_spec(self, name: str, *_path_and_target: object) -> ModuleSpec | None:
        """Answer the import system."""
        loader: Any = self
        package, _, module = name.rpartition(".")
        if name == PACKAGE:
            return ModuleSpec(name, loader, is_package=True)
        return ModuleSpec(name, loader) if package == PACKAGE and module in self._modules else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module."""
        _, _, name = module.__name__.rpartition(".")
        if name in self._modules:
            given = self._modules[name]
            code = compiled(name, given) if isinstance(given, str) else marshal.loads(given)  # noqa: S302 our own
            exec(code, module.__dict__)  # noqa: S102 the agent


def compiled(name: str, source: str) -> CodeType:
    """Compile a module without its docstrings; errors name the module as its file."""
    return compile(source, f"<{PACKAGE}/{name}.py>", "exec", dont_inherit=True, optimize=_NO_DOCSTRINGS)


def run(modules: Mapping[str, str | bytes]) -> None:
    """Serve the caller on standard input and output until it closes them."""
    finder: Any = Finder(modules)
    sys.meta_path.insert(0, finder)
    # The host gets the memory back at once, and spares the time in which Python would tidy it up first.
    os._exit(__import__(f"{PACKAGE}.main", fromlist=["main"]).main())
