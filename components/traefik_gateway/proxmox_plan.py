"""What the notes of every guest become: the decisions of a plan, made of what was found out. Pure.

A guest of which nothing is known keeps its routes; one whose labels are wrong keeps them too, and is a problem, which
makes the run fail after everything else was done (TPX-196).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from .args_notes import ProxmoxNotesArgs, WhenEmpty
from .discovery import DiscoveryError, Reason
from .findings import Finding, Level
from .labels import Container, LabelModel, parse
from .lint import Prediction, predict
from .notes import Label, NotesError, NotesUpdate, extract, find_block, render_block, same_text, strip, update
from .plugin import Guest as Read
from .plugin import parse_version
from .proxmox import Guest
from .schema import sort_key
from .transform import transform_all

__all__ = [
    "Found",
    "Plan",
    "Seen",
    "Standing",
    "block_hash",
    "blocks",
    "new_notes",
    "ordered",
    "plan",
    "routes_of",
    "seen",
    "standing",
]

Labels = Mapping[str, str]
_HASH_LENGTH: Final = 16
_IPV4: Final = re.compile(r"\d+\.\d+\.\d+\.\d+")
_PLAN_ERRORS: Final = frozenset({"TPX-98", "TPX-99"})
"""Names that clash over several guests: no order of the guests is right, so nothing is written."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out for a plan."""

    guests: Sequence[Guest] | None
    """All guests of the cluster; None if it did not answer."""
    containers: Mapping[str, list[Container] | DiscoveryError]
    """What runs on each guest that was asked, by our name."""
    notes: Mapping[int, str] = field(default_factory=dict)
    """The notes of the running guests, by VMID; those that could not be read are missing."""
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Which guests are asked for their containers, and why the others are not."""

    asked: tuple[str, ...]
    resting: Mapping[str, str]
    """Guests that keep their routes, with the reason."""
    dismissed: Mapping[str, str]
    """Guests that lose their routes, with the reason."""
    uninvited: tuple[str, ...]
    """Warnings about tagged guests that are not described."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done."""

    labels: Mapping[str, Labels]
    """The labels of each guest's block; a guest that is missing here is left alone."""
    routes: Mapping[str, Mapping[str, str]]
    """What the gateway will make of all notes: by guest and router."""
    problems: Mapping[str, list[str]]
    """What keeps single guests from being updated, by our name."""
    warnings: tuple[str, ...]
    failures: tuple[str, ...]
    """What makes the plan impossible."""
    messages: tuple[str, ...] = ()
    """How much was found on each guest, and what it comes to (TPX-46, TPX-61)."""

    def as_inputs(self) -> dict[str, Any]:
        """Give what a preview shows, as plain values."""
        return {
            "labels": {name: dict(labels) for name, labels in self.labels.items()},
            "routes": {guest: dict(routes) for guest, routes in self.routes.items()},
            "problems": {name: list(said) for name, said in self.problems.items()},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """What is really there."""

    labels: Mapping[str, dict[str, str]]
    routes: Mapping[str, dict[str, str]]
    notes: Mapping[str, dict[str, Any]]
    warnings: tuple[str, ...]


def standing(args: ProxmoxNotesArgs, guests: Sequence[Guest] | None) -> Standing:
    """Sort the guests into those to ask, those to leave alone and those to clear (TPX-27, TPX-31, TPX-234)."""
    if guests is None:
        return Standing(tuple(args.guests), {}, {}, ())
    by_vmid = {guest.vmid: guest for guest in guests}
    asked, resting, dismissed = [], {}, {}
    for name, described in args.guests.items():
        guest = by_vmid.get(described.vmid)
        if guest is None:
            resting[name] = f"there is no guest with VMID {described.vmid} that the token may see (VM.Audit)"
        elif args.tag and args.tag not in guest.tags:
            dismissed[name] = f"it does not carry the tag {args.tag!r}, so it gets no routes"
        elif guest.template or not guest.running:
            resting[name] = f"it {'is a template' if guest.template else 'does not run'}; its notes stay as they are"
        else:
            asked.append(name)
    known = {described.vmid for described in args.guests.values()}
    uninvited = tuple(
        f"{guest} carries the tag {args.tag!r} and is not described: add it to guests with its host, or untag it"
        for guest in guests
        if args.tag and args.tag in guest.tags and guest.vmid not in known and not guest.template
    )
    return Standing(tuple(asked), resting, dismissed, uninvited)


def plan(
    args: ProxmoxNotesArgs, found: Found, previous: Mapping[str, Labels], *, former_block: str | None = None
) -> Plan:
    """Work out the labels of each guest, and what the gateway makes of them.

    ``previous`` are the labels that they have, in a block which was called ``former_block``.
    """
    where = standing(args, found.guests)
    warnings = [*found.warnings, *where.uninvited]
    warnings += [f"{name}: {reason}" for name, reason in {**where.resting, **where.dismissed}.items()]
    problems: dict[str, list[str]] = {}
    labels: dict[str, Labels] = {name: previous[name] for name in args.guests if name in previous}
    models: dict[str, LabelModel] = {}
    for name in where.asked:
        containers = found.containers[name]
        if isinstance(containers, DiscoveryError):
            kept = "its routes stay as they are" if labels.get(name) else "it has no routes yet"
            if containers.reason is Reason.UNREACHABLE:
                warnings.append(f"{name}: {containers}; {kept}")
            else:
                problems[name] = [str(containers)]
        else:
            models[name] = parse(containers)
    transformed = transform_all(models, {name: args.options_of(name) for name in models})
    findings = [finding for one in transformed.values() for finding in one.findings]
    failures = [str(finding) for finding in findings if _is_fatal(finding)]
    for name, one in transformed.items():
        warnings += [f"{name}: {_said(finding)}" for finding in one.findings if finding.level is Level.WARNING]
        if one.errors:
            problems[name] = [str(finding) for finding in one.errors if not _is_fatal(finding)]
        elif one.labels or args.guests[name].when_empty is WhenEmpty.CLEAR:
            labels[name] = dict(one.labels)
    labels |= {name: {} for name in where.dismissed}
    said = tuple(_message(args, name, model, labels.get(name, {})) for name, model in models.items())
    so_far = Plan(labels, {}, problems, tuple(warnings), tuple(failures), said)
    return _predicted(args, found, so_far, former_block)


def new_notes(
    args: ProxmoxNotesArgs, name: str, labels: Labels, text: str, *, former_block: str | None = None
) -> NotesUpdate:
    """Work out the notes of a guest. Raises NotesError if they cannot be written."""
    start = text if former_block in {None, args.block} else strip(text, str(former_block))
    done = update(start, ordered(labels), args.block, adopt=args.guests[name].adopt, fence=args.fence)
    return replace(done, changed=not same_text(text, done.text))


def ordered(labels: Labels) -> list[Label]:
    """Bring labels into the order in which they are written (TPX-101 to TPX-106); a map has lost it."""
    return sorted(labels.items(), key=lambda label: sort_key(label[0]))


def blocks(labels: Mapping[str, Labels], *, fence: bool) -> dict[str, str]:
    """Give the hash of the block that each guest's labels make, empty without labels."""
    return {name: _hash(render_block(ordered(some), fence=fence)) for name, some in labels.items()}


def block_hash(text: str, block: str) -> str:
    """Give the hash of the block in notes, empty without one. Raises NotesError for damaged markers."""
    found = find_block(text, block)
    return _hash(found.body if found else "")


def seen(
    args: ProxmoxNotesArgs, found: Found, labels: Mapping[str, Labels], notes: Mapping[str, Mapping[str, Any]]
) -> Seen:
    """Compare what was written, ``labels`` and ``notes``, with what is there now (TPX-138).

    Guests that do not run, or whose notes could not be read, are taken to be as they were; one that is gone is dropped.
    """
    there = {guest.vmid: guest for guest in found.guests or []}
    warnings = list(found.warnings)
    now = {name: dict(some) for name, some in labels.items() if _vmid(args, name) in there}
    about = {name: dict(notes[name]) for name in now if name in notes}
    for name in list(now):
        text = found.notes.get(_vmid(args, name))
        if text is None:
            continue
        try:
            now[name] = dict(extract(text, args.block))
            block = block_hash(text, args.block)
        except NotesError as error:
            warnings.append(f"{name}: {error}")
            now[name], block = {}, ""
        about[name] = about.get(name, {}) | {"labels": len(now[name]), "length": len(text), "block": block}
    texts = [_as_read(args, guest, found.notes[vmid]) for vmid, guest in there.items() if vmid in found.notes]
    return Seen(now, routes_of(predict(texts, parse_version(args.plugin_version))), about, tuple(warnings))


def _vmid(args: ProxmoxNotesArgs, name: str) -> int:
    described = args.guests.get(name)
    return described.vmid if described else 0


def _hash(body: str) -> str:
    return sha256(body.replace("\r\n", "\n").encode()).hexdigest()[:_HASH_LENGTH] if body else ""


def routes_of(prediction: Prediction) -> dict[str, dict[str, str]]:
    """Write predicted routes as text, by guest and router: public addresses, where they lead, and the priority."""
    servers = {(service.guest, service.name): service.url for service in prediction.services}
    found: dict[str, dict[str, str]] = {}
    for router in prediction.routers:
        public = ", ".join(router.urls) or router.rule
        ways = [f"{name} ({servers.get((router.guest, name), 'not defined here')})" for name in router.services]
        text = f"{public} -> {' or '.join(ways)}, priority {router.priority}"
        found.setdefault(router.guest, {})[router.name] = text
    return found


def _predicted(args: ProxmoxNotesArgs, found: Found, so_far: Plan, former_block: str | None) -> Plan:
    """Add what the gateway will make of the notes of all guests, also of those that are not ours (TPX-267)."""
    problems, warnings = dict(so_far.problems), list(so_far.warnings)
    names = {described.vmid: name for name, described in args.guests.items()}
    texts: list[Read] = []
    for guest in found.guests or []:
        if not guest.running or guest.template:
            continue
        name, text = names.get(guest.vmid, ""), found.notes.get(guest.vmid)
        if text is None:
            continue
        if name in so_far.labels:
            try:
                text = new_notes(args, name, so_far.labels[name], text, former_block=former_block).text
            except NotesError as error:
                problems.setdefault(name, []).append(str(error))
        texts.append(_as_read(args, guest, text))
    prediction = predict(texts, parse_version(args.plugin_version))
    warnings += [_said(finding) for finding in prediction.findings if finding.level is not Level.NOTICE]
    return replace(so_far, routes=routes_of(prediction), problems=problems, warnings=tuple(dict.fromkeys(warnings)))


def _as_read(args: ProxmoxNotesArgs, guest: Guest, text: str) -> Read:
    """Give a guest as the plugin reads it.

    What its agent reports is not asked for, which would need another privilege: an address at which we reach it is as
    good, and without one its place is held by a name.
    """
    hosts = {one.vmid: one.host.address for one in args.guests.values() if one.host is not None}
    address = hosts.get(guest.vmid, "")
    known = _IPV4.fullmatch(address) and not address.startswith("127.")
    return Read(
        guest.name,
        guest.vmid,
        guest.node,
        text,
        (address if known else f"<address of {guest.name}>",),
        guest.kind.value,
    )


def _message(args: ProxmoxNotesArgs, name: str, model: LabelModel, labels: Labels) -> str:
    result = parse([Container(name, labels)]).counts
    return f"{name} (VMID {args.guests[name].vmid}): {model.discovered}. {result}"


def _said(finding: Finding) -> str:
    """Write a finding among warnings: there, only an error needs to say what it is."""
    return str(finding).removeprefix(f"{Level.WARNING}: ")


def _is_fatal(finding: Finding) -> bool:
    return finding.level is Level.ERROR and finding.id in _PLAN_ERRORS
