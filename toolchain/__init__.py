"""How tools reach a fresh machine: versions, builds, the language host and the local provider plugins."""

from toolchain.errors import ToolError
from toolchain.paths import ROOT, cache_dir, state_dir

__all__ = ["ROOT", "ToolError", "cache_dir", "state_dir"]
