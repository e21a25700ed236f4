"""What a role manages and what a run changes, in names that a person reads. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

__all__ = ["GROUPS", "Changes", "changes", "in_words", "managed", "table", "unseen"]

GROUPS: Final[Mapping[str, str]] = {
    "repositories": "packages",
    "packages": "packages",
    "groups": "accounts",
    "users": "accounts",
    "authorized_keys": "accounts",
    "modules": "system",
    "mounts": "system",
    "sysctl": "system",
    "directories": "files",
    "downloads": "files",
    "links": "files",
    "files": "files",
    "blocks": "files",
    "merges": "files",
    "units": "services",
    "steps": "steps",
}
"""Under which heading each kind of item is counted."""
_COLUMNS: Final = ("files", "packages", "services", "accounts", "system", "steps")
_INTERRUPTING: Final = frozenset({"stop", "restart", "reload"})
_HEADINGS: Final = ("host", "role", *_COLUMNS, "restarts")


@dataclass(frozen=True)
class Changes:
    """What one run changes of one role on one host."""

    host: str
    role: str
    items: Mapping[str, Sequence[str]]
    """Names of what is created, changed, removed or run, by heading."""
    interrupted: Sequence[str]
    """Services that stop for a moment or for good: ``restart nginx.service``."""
    reachable: bool = True
    """Whether the host was asked; otherwise this counts everything as new."""

    def as_data(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Changes":
        """Read what :meth:`as_data` gave."""
        return cls(**data)


def managed(document: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Count and name what a document manages, by heading."""
    names = _by_heading((kind, key) for kind in GROUPS for key in document.get(kind, ()))
    return {heading: {"count": len(found), "names": sorted(found)} for heading, found in names.items()}


def changes(host: str, role: str, actions: Iterable[Mapping[str, Any]]) -> Changes:
    """Sum up the actions of an agent's plan."""
    items: list[tuple[str, str]] = []
    interrupted: list[str] = []
    for action in actions:
        kind, _, key = action["item"].partition(":")
        if action["do"] in _INTERRUPTING:
            interrupted.append(f"{action['do']} {key}")
        else:
            items.append((kind, key))
    return Changes(host, role, _by_heading(items), interrupted)


def unseen(host: str, role: str, document: Mapping[str, Mapping[str, Any]]) -> Changes:
    """Count everything as new, for a host that does not exist yet."""
    items = _by_heading((kind, key) for kind in GROUPS for key in document.get(kind, ()))
    return Changes(host, role, items, (), reachable=False)


def in_words(found: Changes) -> str:
    """Say it in one line, for the resource's row; empty where nothing changes."""
    parts = [f"{heading} {len(names)}" for heading, names in found.items.items()]
    return ", ".join([*parts, *found.interrupted])


def table(rows: Iterable[Changes]) -> list[str]:
    """Lay out what changes where, a line for each role; no lines where nothing does."""
    cells = [_row(row) for row in sorted(rows, key=lambda row: (row.host, row.role)) if row.items or row.interrupted]
    if not cells:
        return []
    widths = [max(len(row[column]) for row in [_HEADINGS, *cells]) for column in range(len(_HEADINGS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [_HEADINGS, *cells]
    ]


def _row(row: Changes) -> tuple[str, ...]:
    counts = [str(len(row.items.get(column, ())) or "-") for column in _COLUMNS]
    host = row.host if row.reachable else f"{row.host} (not reached)"
    return (host, row.role, *counts, ", ".join(row.interrupted) or "-")


def _by_heading(items: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    names: dict[str, dict[str, None]] = {}
    for kind, key in items:
        names.setdefault(GROUPS[kind], {})[key] = None
    return {heading: tuple(names[heading]) for heading in _COLUMNS if heading in names}
