"""A sandbox: it may be destroyed, unless its platform says otherwise."""

from __future__ import annotations

from typing import Any

from . import compose
from .settings.program import Site

__all__ = ["build"]


def build(site: Site) -> dict[str, Any]:
    """Build the stack and return its exports."""
    platform = site.settings.platform
    return compose.build(site, protect=platform is not None and platform.protect_data)
