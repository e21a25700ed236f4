"""Protected data that a stack file no longer mentions: a mistake in the file must not take what is around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from cli.database_logins import NARROWING
from cli.errors import CommandError
from cli.state_edit import Record
from stacks.settings.schema import Settings
from stacks.settings.sections import SECTIONS, targets

__all__ = ["refuse_leaving"]


def refuse_leaving(resources: Sequence[Record], stack: str, settings: Settings, forwarded: Sequence[str]) -> None:
    """Refuse before the engine starts: it keeps what is protected, and removes everything around it (PG-21, APP-39).

    Raises CommandError that names what is protected and belongs to no part of the configuration.
    """
    if any(word.startswith((*NARROWING, "--exclude-protected")) for word in forwarded):
        return
    declared = [pattern for section in _declared(settings) for pattern in _patterns(section, stack, settings)]
    kept = [
        one["urn"].rpartition("$")[2]
        for one in resources
        if one.get("protect") and not any(fnmatchcase(one["urn"], pattern) for pattern in declared)
    ]
    if kept:
        raise CommandError(
            f"the file of stack {stack!r} no longer has what owns protected data, so nothing was changed: "
            f"{', '.join(kept)}; put it back, or take it away in its own steps: `decommission: true` backs an "
            "application's data up first (docs/configuration.md), `./factory cm5 uninstall` ends the home-automation "
            "gateway (docs/cm5-gateway.md)"
        )


def _declared(settings: Settings) -> Iterator[str]:
    for section in SECTIONS:
        given = getattr(settings, section)
        if section in {"apps", "hosts"}:
            yield from (f"{section}.{name}" for name in given)
        elif given is not None:
            yield section


def _patterns(section: str, stack: str, settings: Settings) -> list[str]:
    return targets(section, stack, settings.apps, settings.hosts)
