"""What the pure parts have to say about somebody's labels and notes: one kind of message for all of them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Finding", "Level", "abbreviated", "error", "errors", "notice", "warning"]

_SHOWN: int = 80
"""Longer values are shown by their beginning: a label can be a megabyte long."""


class Level(StrEnum):
    """How grave a finding is."""

    ERROR = "error"
    """Nothing is published or written until it is resolved."""
    WARNING = "warning"
    """Something is left out, or will not do what its author thinks."""
    NOTICE = "notice"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell a person."""

    level: Level
    id: str
    """The requirement behind it, for example ``TPX-152``."""
    where: str
    """The container, or the guest."""
    label: str
    """The label or the line it is about, shortened; empty if it is about the whole."""
    message: str
    """What is the matter, and what to do."""

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.where, self.label) if part)
        return (
            f"{self.level}: {place}: {self.message} ({self.id})"
            if place
            else f"{self.level}: {self.message} ({self.id})"
        )

    def as_data(self) -> dict[str, str]:
        """Return plain values, for JSON."""
        return {key: str(value) for key, value in asdict(self).items()}


def error(rule: str, where: str, label: str, message: str) -> Finding:
    """Make an error."""
    return Finding(Level.ERROR, rule, where, abbreviated(label), message)


def warning(rule: str, where: str, label: str, message: str) -> Finding:
    """Make a warning."""
    return Finding(Level.WARNING, rule, where, abbreviated(label), message)


def notice(rule: str, where: str, label: str, message: str) -> Finding:
    """Make a notice."""
    return Finding(Level.NOTICE, rule, where, abbreviated(label), message)


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return the errors among the findings."""
    return [finding for finding in findings if finding.level is Level.ERROR]


def abbreviated(text: str) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
