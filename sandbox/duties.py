"""The supervisor's small regular duties in the cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx

from sandbox.errors import SandboxError

__all__ = ["Duty"]


class Duty:
    """One duty, done at each tick. What it complains about is told once, and again only after it went well."""

    def __init__(self, do: Callable[[httpx.AsyncClient], Awaitable[None]], tell: Callable[[str], None]) -> None:
        self._do = do
        self._tell = tell
        self._complaint = ""

    async def tick(self, api: httpx.AsyncClient) -> None:
        """Do it; a complaint does not keep the other duties from being done."""
        try:
            await self._do(api)
        except httpx.TransportError:
            pass  # a backend that is down is told by the record; the duty is done at a later tick
        except SandboxError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._tell(self._complaint)
        else:
            self._complaint = ""
