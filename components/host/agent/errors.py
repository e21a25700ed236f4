"""What can go wrong, as one sentence and the facts around it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class AgentError(Exception):
    """A failure that the caller is told about: ``code`` and details are those of :mod:`.protocol`."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def public(self) -> dict[str, Any]:
        """Give what is sent."""
        return {"code": self.code, "message": self.message, **self.details}


class Refusal(Exception):  # noqa: N818 it is an answer, not an accident
    """Something on the host or in the document is such that nothing is done about it; says why and what to do."""


def failed(message: str, **details: Any) -> AgentError:
    """Make the error of an action that did not work."""
    return AgentError("failed", message, **details)


def invalid(message: str) -> AgentError:
    """Make the error of a request that cannot be understood."""
    return AgentError("invalid", message)
