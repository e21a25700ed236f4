"""How tools reach a fresh machine: versions, builds, the language host and the local provider plugins."""

import importlib
from typing import TYPE_CHECKING, Any

from toolchain.errors import ToolError
from toolchain.paths import ROOT, cache_dir, state_dir

if TYPE_CHECKING:
    from toolchain.install import ensure
    from toolchain.lookup import Origin, Tool, locate
    from toolchain.progress import Console
    from toolchain.status import State, ToolStatus, table
else:
    # The language host and the plugins below need none of this, and start several times in each run.
    _ORIGINS = {
        "Console": "progress",
        "Origin": "lookup",
        "State": "status",
        "Tool": "lookup",
        "ToolStatus": "status",
        "ensure": "install",
        "locate": "lookup",
        "table": "status",
    }

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class or a function
        if name not in _ORIGINS:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(importlib.import_module(f"{__name__}.{_ORIGINS[name]}"), name)


__all__ = [
    "ROOT",
    "Console",
    "Origin",
    "State",
    "Tool",
    "ToolError",
    "ToolStatus",
    "cache_dir",
    "ensure",
    "locate",
    "state_dir",
    "table",
]
