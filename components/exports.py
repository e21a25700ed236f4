"""Exports that are imported when they are first used, so that reading arguments imports no provider's SDK."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["on_demand"]


def on_demand(package: str, origins: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a package's ``__getattr__`` (PEP 562); ``origins`` names the submodule that holds each export."""

    def export(name: str) -> Any:  # noqa: ANN401 - a class, a function or a constant
        if name not in origins:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(importlib.import_module(f".{origins[name]}", package), name)

    return export
