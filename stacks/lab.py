"""Production: everything that holds data refuses its deletion (POL-13)."""

from __future__ import annotations

from typing import Any

from . import compose
from .settings.program import Site

__all__ = ["build"]


def build(site: Site) -> dict[str, Any]:
    """Build the stack and return its exports."""
    return compose.build(site, protect=True)
