"""What a run must not begin with: protected data to be lost, applications without foundations, foundations in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from cli.errors import CommandError
from cli.forwarded import narrowed, widened
from cli.state_edit import Record, needs
from stacks.settings.kept_data import kept_data
from stacks.settings.schema import Settings
from stacks.settings.sections import SECTIONS, targets

__all__ = ["going", "refuse_before_foundations", "refuse_leaving", "refuse_protected", "refuse_under_others"]

_FOUNDATIONS = ("postgres_foundation", "vault_foundation")
"""What every application waits for, as far as it is declared."""


def refuse_leaving(
    resources: Sequence[Record], stack: str, settings: Settings, forwarded: Sequence[str], *, only: str | None = None
) -> None:
    """Refuse before the engine starts: it keeps what is protected, and removes everything around it (PG-21, APP-39).

    `only` is the section that the run is confined to. Raises CommandError that names what is protected and belongs to
    no part of the configuration.
    """
    if narrowed(forwarded):
        return
    protected = [one["urn"] for one in resources if one.get("protect")]
    if only is not None:
        inside = _patterns(only, stack, settings)
        protected = [urn for urn in protected if _meets(urn, inside)]
    declared = {section: _patterns(section, stack, settings) for section in _declared(settings)}
    data = kept_data(settings) if protected else {}
    lost = []
    for urn in protected:
        owners = [section for section, mine in declared.items() if _meets(urn, mine)]
        resource = urn.rpartition("$")[2]
        if not any(resource in data.get(owner, {resource}) for owner in owners):
            lost.append((resource, owners[0] if owners else None))
    if lost:
        named = ", ".join(f"{resource} (of {owner})" if owner else resource for resource, owner in lost)
        raise CommandError(
            f"the file of stack {stack!r} no longer has what owns protected data, so nothing was changed: {named}; "
            "put it back, or take it away in its own steps: `decommission: true` beside it, and an `up`, back an "
            "application's data up and lift its protection (docs/configuration.md); `./factory cm5 uninstall` ends the "
            "home-automation gateway (docs/cm5-gateway.md); what else you no longer need, release by "
            f"`./factory pulumi {stack} -- state unprotect`, which lets you choose"
        )


def refuse_protected(
    resources: Sequence[Record], stack: str, patterns: Sequence[str], forwarded: Sequence[str]
) -> None:
    """Refuse before the engine starts: it keeps what is protected and removes everything around it, logins included.

    `patterns` are the URNs of what is to be destroyed. Raises CommandError that names what is protected of it.
    """
    if narrowed(forwarded):
        return
    urns = going(resources, patterns, forwarded)
    kept = [one["urn"].rpartition("$")[2] for one in resources if one.get("protect") and one["urn"] in urns]
    if kept:
        raise CommandError(
            f"stack {stack!r} has protected data, so nothing was destroyed: {', '.join(kept)}; "
            "`decommission: true` backs an application's data up and lifts its protection (docs/configuration.md), "
            "`./factory cm5 uninstall` removes the home-automation gateway (docs/cm5-gateway.md)"
        )


def refuse_before_foundations(resources: Sequence[Record], stack: str, settings: Settings, only: str | None) -> None:
    """Refuse to bring applications alone up, or to preview it, without a foundation that they wait for (PLAT-07).

    Raises CommandError that says what to run first: the engine would make the providers, then fail at the first
    application.
    """
    if only is None or only.partition(".")[0] != "apps":
        return
    # A foundation gives its outputs when all of it is there.
    there = {one["type"] for one in resources if one.get("outputs")}
    first = [
        section for section in _FOUNDATIONS if getattr(settings, section) is not None and SECTIONS[section] not in there
    ]
    if first:
        commands = " and ".join(f"`./factory up --stack {stack} --only {section}`" for section in first)
        raise CommandError(
            f"{only} waits for {' and '.join(first)}, which the stack does not have yet, so nothing was changed: first "
            f"run {commands}, or leave out `--only` and take the whole stack"
        )


def refuse_under_others(
    resources: Sequence[Record], stack: str, patterns: Sequence[str], forwarded: Sequence[str]
) -> None:
    """Refuse to destroy a part that others stand on: the engine would name each of their resources, twice.

    `patterns` are the URNs of the part. Raises CommandError that names who stands on it and what to run.
    """
    if narrowed(forwarded):
        return
    known = {one["urn"]: one for one in resources}
    urns = going(resources, patterns, forwarded)
    standing = {_owner(one, known) for urn, one in known.items() if urn not in urns and needs(one) & urns}
    if standing:
        sections = sorted({owner.partition(".")[0] for owner in standing} & SECTIONS.keys())
        first = [f"`./factory destroy --stack {stack} --only {section}`" for section in sections]
        way = f"first run {' and '.join(first)}, or" if first else "run"
        raise CommandError(
            f"{', '.join(sorted(standing))} cannot be without what was to be destroyed, so nothing was changed: {way} "
            f"`./factory destroy --stack {stack}` for everything"
        )


def going(resources: Sequence[Record], patterns: Sequence[str], forwarded: Sequence[str]) -> set[str]:
    """Return the URNs that go with what meets these patterns: with `--target-dependents` also all that stands on it."""
    found = {one["urn"] for one in resources if _meets(one["urn"], patterns)}
    if widened(forwarded):
        for one in resources:  # in a state, each comes after what it needs
            if needs(one) & found:
                found.add(one["urn"])
    return found


def _meets(urn: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(urn, pattern) for pattern in patterns)


def _owner(record: Record, known: Mapping[str, Record]) -> str:
    """Return the section that a resource belongs to, with the application's or host's name; else its own name."""
    kinds = {kind: section for section, kind in SECTIONS.items()}
    above: Record | None = record
    while above is not None:
        if section := kinds.get(above["type"]):
            return f"{section}.{above['urn'].rpartition('::')[2]}" if section in {"apps", "hosts"} else section
        above = known.get(above.get("parent", ""))
    return str(record["urn"].rpartition("::")[2])


def _declared(settings: Settings) -> Iterator[str]:
    for section in SECTIONS:
        given = getattr(settings, section)
        if section in {"apps", "hosts"}:
            yield from (f"{section}.{name}" for name in given)
        elif given is not None:
            yield section


def _patterns(section: str, stack: str, settings: Settings) -> list[str]:
    return targets(section, stack, settings.apps, settings.hosts)
