"""How the agent's modules are imported from memory; the first thing that the bootstrap executes."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes longer than the rest of this file
    from typing import Any

PACKAGE = "factory_agent"


class Finder:
    """Finds the modules of the bundle. Each is compiled when it is first imported."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(self, name: str, *_path_and_target: object) -> ModuleSpec | None:
        """Answer the import system."""
        loader: Any = self
        package, _, module = name.rpartition(".")
        if name == PACKAGE:
            return ModuleSpec(name, loader, is_package=True)
        return ModuleSpec(name, loader) if package == PACKAGE and module in self._sources else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's source."""
        _, _, name = module.__name__.rpartition(".")
        if name in self._sources:
            exec(compile(self._sources[name], f"<{PACKAGE}/{name}.py>", "exec"), module.__dict__)  # noqa: S102 the agent


def run(sources: dict[str, str]) -> None:
    """Serve the caller on standard input and output until it closes them."""
    finder: Any = Finder(sources)
    sys.meta_path.insert(0, finder)
    sys.exit(import_module(f"{PACKAGE}.main").main())
