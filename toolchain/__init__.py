"""How tools reach a fresh machine: versions, builds, the language host and the local provider plugins."""

from toolchain.errors import ToolError
from toolchain.install import ensure
from toolchain.lookup import Origin, Tool, locate
from toolchain.paths import ROOT, cache_dir, state_dir
from toolchain.progress import Console
from toolchain.status import State, ToolStatus, table

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
