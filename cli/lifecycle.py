"""`up`, `preview` and `destroy`: what surrounds the engine's own command."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from cli import database_logins, engine, healing, last_backups, plugin_set, state_copies, state_edit
from cli.configuration import refused, settings_of
from cli.confirmation import confirmed
from cli.errors import CommandError, InputError
from cli.exclusive import alone
from cli.forks import Forks, forks
from cli.forwarded import narrowed
from cli.guards import refuse_unsafe
from cli.hosts import shown_changes
from cli.kv_guard import refuse_overwriting
from cli.policy import policy_arguments
from cli.protection import going, refuse_before_foundations, refuse_leaving, refuse_protected, refuse_under_others
from cli.reachability import refuse_unreachable
from cli.session import PASSPHRASE_VARIABLES, Report, Session, open_session
from cli.stack import Stack
from cli.state_edit import Record, State
from cli.vault_client import VaultClient
from stacks.settings.schema import Settings
from stacks.settings.sections import SECTIONS, targets

_STDERR = 2
_REFRESHED = ("--refresh", "--run-program")
"""The refresh asks with the program's own providers, and so with the credentials of today.

It is part of the same pass: each plugin is started once and the state written half as often.
"""


@dataclass(frozen=True)
class Ready:
    """A stack that the engine may be started for."""

    session: Session
    settings: Settings
    state: State = field(default_factory=dict)
    """Of a stack that is to be changed, with what it takes over."""
    adopting: bool = False
    """Whether it takes anything over: then the stack itself does not have that state before `begin`."""

    @property
    def resources(self) -> list[Record]:
        """What the state has."""
        return list(state_edit.resources(self.state).values())

    def arguments(self, only: str | None, forwarded: Sequence[str]) -> list[str]:
        """Return what every run of the engine's `up`, `preview` and `destroy` is given."""
        color = [] if sys.stdout.isatty() else ["--color", "never"]
        common = ["--stack", self.session.stack.name, "--parallel", "32", *color]
        confined = [argument for pattern in self.patterns(only) for argument in ("--target", pattern)]
        return [*common, *confined, *forwarded]

    def patterns(self, only: str | None) -> list[str]:
        """Return the URNs that a run of one section is confined to, none for all. Raises InputError."""
        return _patterns(only, self.session.stack, self.settings)

    @contextlib.contextmanager
    def planning(self) -> Iterator[Session]:
        """Give the stack as `begin` will leave it: a plan that is never agreed to must not have changed its state."""
        if not self.adopting:
            yield self.session
            return
        with state_edit.scratch(self.session, self.state) as session:
            yield session

    def begin(self, removed: Sequence[str], forwarded: Sequence[str], report: Report) -> None:
        """Do what the engine cannot, now that the run is agreed to.

        Take objects over, end what is lent of databases that go, and back those up that are decommissioned. `removed`
        are the URN patterns of what goes. Raises CommandError; then nothing is removed.
        """
        if self.adopting:
            state_edit.store(self.session, self.state)
        open_vault = cache(lambda: VaultClient.of(self.session, self.settings))
        database_logins.end(self.resources, removed, forwarded, open_vault, report)
        last_backups.take(self.session, self.resources, removed, forwarded, report)


def up(
    stack: Stack,
    only: str | None,
    forwarded: Sequence[str],
    forked: Forks,
    *,
    yes: bool,
    adopted: Sequence[Record],
    report: Report,
) -> int:
    """Bring a stack up. A sandbox is changed at once; production shows a plan, asks, and applies exactly that plan."""
    with changing(stack, report, forwarded, creating=True, only=only, adopted=adopted) as ready:
        refuse_before_foundations(ready.resources, stack.name, ready.settings, only)
        refuse_leaving(ready.resources, stack.name, ready.settings, forwarded, only=only)
        arguments = [*ready.arguments(only, forwarded), *policy_arguments(ready.session, ready.settings)]
        apply = ["up", "--yes", "--skip-preview", *_REFRESHED, *arguments]
        leaving = only in {None, "apps"}
        kept = [name for name, app in ready.settings.apps.items() if app.has_database]
        removed = database_logins.leaving(ready.resources, stack.name, kept) if leaving else []
        if stack.sandbox:
            ready.begin(removed, forwarded, report)
            return _run(ready.session, apply, forked, report)
        with healing.planned(stack.name) as plan:
            with ready.planning() as session:
                status = _run(session, ["preview", "--save-plan", str(plan), *_REFRESHED, *arguments], forked, report)
            if status:
                return status
            if not yes and not confirmed(stack.name, f"Apply exactly this plan to stack {stack.name!r}?"):
                report("nothing was changed")
                return 1
            ready.begin(removed, forwarded, report)
            with forks(stack) as second:
                return _run(ready.session, [*apply, "--plan", str(plan)], second, report)


def preview(stack: Stack, only: str | None, forwarded: Sequence[str], forked: Forks, *, report: Report) -> int:
    """Show what `up` would change, after a refresh: without one the state is compared, not the backends."""
    ready = prepare(stack, report, forwarded, only=only)
    if only is not None:
        present = state_edit.resources(state_edit.read(ready.session))
        refuse_before_foundations(list(present.values()), stack.name, ready.settings, only)
    arguments = [*ready.arguments(only, forwarded), *policy_arguments(ready.session, ready.settings)]
    return _run(ready.session, ["preview", *_REFRESHED, *arguments], forked, report)


def destroy(stack: Stack, only: str | None, forwarded: Sequence[str], *, yes: bool, report: Report) -> int:
    """Remove what a stack made. Raises CommandError where that includes protected data; then nothing was changed."""
    with changing(stack, report, forwarded, only=only) as ready:
        patterns = ready.patterns(only) or ["*"]
        refuse_protected(ready.resources, stack.name, patterns, forwarded)
        refuse_under_others(ready.resources, stack.name, patterns, forwarded)
        what = "everything" if only is None else f"what belongs to {only}"
        if not yes and not confirmed(stack.name, f"Destroy {what} in stack {stack.name!r}?"):
            report("nothing was changed")
            return 1
        return renew_credentials(ready, only, forwarded, report) or remove(ready, only, forwarded, report)


def remove(ready: Ready, only: str | None, forwarded: Sequence[str], report: Report) -> int:
    """Let the engine remove a section, or everything; whoever calls this has made sure that it may go."""
    ready.begin(ready.patterns(only) or ["*"], forwarded, report)
    arguments = ["destroy", "--yes", "--skip-preview", "--refresh", *ready.arguments(only, forwarded)]
    with forks(ready.session.stack) as forked:
        return _run(ready.session, arguments, forked, report)


def renew_credentials(ready: Ready, only: str | None, forwarded: Sequence[str], report: Report) -> int:
    """Bring the providers of what is to be removed up to date; those of embedded backends stay the same.

    A `destroy` refreshes with the providers of the state even if it runs the program, and that would protect again what
    was released. This refresh touches nothing else, and leaves a provider alone that is no longer declared. Returns the
    exit status.
    """
    stack = ready.session.stack
    urns = going(ready.resources, ready.patterns(only) or ["*"], forwarded)
    asked = {str(one.get("provider")).rpartition("::")[0] for one in ready.resources if one["urn"] in urns}
    logins = [
        one["urn"] for one in ready.resources if one["urn"] in asked and one.get("inputs", {}).keys() - {"version"}
    ]
    if stack.embedded or not logins:
        return 0
    providers = [word for urn in logins for word in ("--target", urn)]
    arguments = ["refresh", "--yes", "--skip-preview", "--run-program", "--suppress-outputs"]
    with forks(stack) as forked:
        # What goes to standard output is the result of the command itself.
        return _run(ready.session, [*arguments, *ready.arguments(None, providers)], forked, report, output=_STDERR)


def prepare(stack: Stack, report: Report, forwarded: Sequence[str] = (), *, only: str | None = None) -> Ready:
    """Check everything that can be checked without the engine, for a run that changes nothing.

    Raises InputError, CommandError, ToolError, SandboxError.
    """
    _refuse_undeclared(stack, only)
    session, settings = _opened(stack, report, only, forwarded)
    _usable(session)
    return Ready(session, settings)


@contextlib.contextmanager
def changing(
    stack: Stack,
    report: Report,
    forwarded: Sequence[str] = (),
    *,
    creating: bool = False,
    only: str | None = None,
    adopted: Sequence[Record] = (),
) -> Iterator[Ready]:
    """Do the same for a run that changes the stack, heal what a killed one left, and keep other runs off meanwhile.

    `adopted` are records of what the run takes over, when it begins. Raises InputError, CommandError, ToolError,
    SandboxError; then nothing was changed.
    """
    if creating:
        _refuse_undeclared(stack, only)
    session, settings = _opened(stack, report, only, forwarded)
    with alone(stack.name):
        healing.clear_dead_run(session, report)
        _usable(session)
        state = state_edit.read(session)
        state_copies.keep(stack.name, state)
        open_vault = cache(lambda: VaultClient.of(session, settings))
        pending = (state.get("deployment") or {}).pop("pending_operations", None) or []
        healed = state_edit.add(state, healing.resolve(pending, open_vault, report))
        edited = state_edit.add(healed, adopted)
        if creating:
            refuse_overwriting(stack.name, settings, state_edit.resources(edited), only, open_vault)
        if pending:
            state_edit.store(session, healed)
        yield Ready(session, settings, edited, adopting=bool(adopted))


def _refuse_undeclared(stack: Stack, only: str | None) -> None:
    """Raise InputError for a section that the stack's file does not have: there is nothing to plan or to bring up."""
    section = (only or "").partition(".")[0]
    if section in SECTIONS and not stack.declares(section):
        raise InputError(
            f"stack {stack.name!r} has no section {section}: `factory:{section}` is not in {stack.file.name}; choose "
            "another stack with --stack, or declare it (`./factory destroy --only` removes what is left of one)"
        )


def _opened(stack: Stack, report: Report, only: str | None, forwarded: Sequence[str]) -> tuple[Session, Settings]:
    settings = settings_of(stack)
    _patterns(only, stack, settings)
    session = open_session(stack, report)
    refuse_unsafe(session, settings)
    if not narrowed(forwarded) and "--refresh=false" not in forwarded:  # else the engine alone knows what is asked
        refuse_unreachable(session, settings, only)
    return session, settings


def _usable(session: Session) -> None:
    healing.mend_state_files(session)
    healing.refuse_damaged_state(session)
    plugin_set.check(session)


def _patterns(only: str | None, stack: Stack, settings: Settings) -> list[str]:
    if only is None:
        return []
    with refused():
        return targets(only, stack.name, settings.apps, settings.hosts)


def _run(
    session: Session, arguments: Sequence[str], forked: Forks, report: Report, *, output: int | None = None
) -> int:
    """Run the engine and return 0 or 1."""
    with (
        healing.marked(session.stack.name, forked.mark) as (mark, changes),
        forked.server,
        shown_changes(arguments, changes) as hosts,
    ):
        status = engine.run(session, arguments, extra_environment=mark | forked.variables | hosts, output=output)
    if status < 0:
        report(f"the engine was ended by {signal.Signals(-status).name}; the next run goes on from there")
    elif status and (advice := healing.out_of_room(session)):
        report(advice)
    elif status and arguments[0] != "preview" and (holder := healing.living_holder(session)):
        report(str(holder))
    elif status and any(name in os.environ for name in PASSPHRASE_VARIABLES):
        _refuse_wrong_passphrase(session)
    return min(abs(status), 1)


def _refuse_wrong_passphrase(session: Session) -> None:
    """Raise InputError that says where the passphrase came from, if it is the wrong one: the engine does not say it."""
    try:
        engine.capture(session, ["config", "--show-secrets", "--stack", session.stack.name])
    except InputError:
        raise
    except CommandError:
        return  # what the run itself said holds
