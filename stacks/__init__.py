"""Which components an environment has: its typed settings, its providers and the one composition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings.program import Site

__all__ = ["build"]


def build(site: Site) -> dict[str, Any]:
    """Build the stack of this environment and return its exports. Never decided by the stack's name."""
    from . import lab, sandbox  # noqa: PLC0415 - reading and checking settings needs no engine

    return {"prod": lab.build, "sandbox": sandbox.build}[site.settings.environment](site)
