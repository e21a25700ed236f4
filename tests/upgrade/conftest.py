"""Backends of their own: here an old state takes the place of the new one."""

from tests.engine.conftest import sandbox, sandbox_state

__all__ = ["sandbox", "sandbox_state"]
