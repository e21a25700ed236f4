"""``ensure``: have the tools, whatever it takes."""

from collections.abc import Callable, Iterable
from pathlib import Path

from toolchain.errors import ToolError
from toolchain.locate import locate, spec_of


def ensure(names: Iterable[str], report: Callable[[str], None] = print) -> dict[str, Path]:
    """Return the path of each tool (see ``Tool.path``). An optional tool that cannot be had is left out."""
    paths: dict[str, Path] = {}
    for name in names:
        tool = locate(name)
        if tool:
            paths[name] = tool.path
        elif spec_of(name).optional:
            report(f"{name}: not available, what depends on it is left out")
        else:
            raise ToolError(f"{name} is not installed")
    return paths
