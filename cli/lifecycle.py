"""`up`, `preview` and `destroy`: what surrounds the engine's own command."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cli import engine, healing, plan, state_copies
from cli.errors import CommandError, InputError
from cli.guards import refuse_unsafe
from cli.policy import policy_arguments
from cli.session import PluginSet, Report, Session, open_session
from cli.stack import Stack

_PLUGINS_TAG = "factory:plugins"


def up(stack: Stack, only: str | None, forwarded: Sequence[str], *, yes: bool, report: Report) -> int:
    """Bring a stack up. A sandbox is changed at once; production shows a plan, asks, and applies exactly that plan."""
    session = _ready(stack, report, changing=True)
    arguments = [*_common(session), *policy_arguments(session), *_only(session, only), *forwarded]
    if stack.sandbox:
        return _run_marked(session, ["up", "--refresh", "--yes", "--skip-preview", *arguments])
    with tempfile.TemporaryDirectory(prefix="factory-plan-") as folder:
        file = Path(folder, "plan.json")
        status = engine.run(session, ["preview", "--refresh", "--save-plan", str(file), *arguments])
        if status:
            return status
        if not yes and not plan.confirmed(stack.name):
            report("nothing was changed")
            return 1
        return _run_marked(session, ["up", "--refresh", "--yes", "--skip-preview", "--plan", str(file), *arguments])


def preview(stack: Stack, only: str | None, forwarded: Sequence[str], *, report: Report) -> int:
    """Show what `up` would change, after a refresh: without one the state is compared, not the backends."""
    session = _ready(stack, report, changing=False)
    arguments = [*_common(session), *policy_arguments(session), *_only(session, only), *forwarded]
    return engine.run(session, ["preview", "--refresh", *arguments])


def destroy(stack: Stack, forwarded: Sequence[str], *, yes: bool, report: Report) -> int:
    """Remove what a stack made. The engine refuses for protected resources."""
    session = _ready(stack, report, changing=True)
    if not yes and not plan.confirmed(stack.name, f"Destroy everything that stack {stack.name!r} made?"):
        report("nothing was changed")
        return 1
    return _run_marked(session, ["destroy", "--refresh", "--yes", "--skip-preview", *_common(session), *forwarded])


def _ready(stack: Stack, report: Report, *, changing: bool) -> Session:
    """Check everything that can be checked without the engine, then bring the stack to a state to start from."""
    refuse_unsafe(stack)
    session = open_session(stack, report)
    if changing:
        healing.clear_dead_run(session, report)
    _check_plugin_set(session, _tags(session))
    if changing:
        exported = engine.capture(session, ["stack", "export", "--stack", stack.name])
        state_copies.keep(stack.name, exported)
        healing.resolve_pending(session, json.loads(exported), report)
    return session


def _tags(session: Session) -> dict[str, str]:
    """Return the stack's tags; a stack that does not exist yet is made."""
    listing = ["stack", "tag", "ls", "--json", "--stack", session.stack.name]
    try:
        return engine.capture_json(session, listing) or {}
    except CommandError as error:
        if "no stack named" not in str(error):
            raise
    engine.capture(session, ["stack", "init", "--no-select", "--stack", session.stack.name])
    return engine.capture_json(session, listing) or {}


def _check_plugin_set(session: Session, tags: dict[str, str]) -> None:
    """Refuse a state that the other plugin set made: both promise the same program, not the same state."""
    recorded = tags.get(_PLUGINS_TAG)
    if recorded is None:
        engine.capture(
            session, ["stack", "tag", "set", _PLUGINS_TAG, session.home.plugins, "--stack", session.stack.name]
        )
    elif recorded != session.home.plugins:
        raise CommandError(
            f"the state of stack {session.stack.name!r} was made with the {recorded} provider plugins and cannot be used "
            f"with the {session.home.plugins} ones; "
            + (
                "take the official `pulumi` off PATH, or start over with `./factory sandbox reset`"
                if recorded == PluginSet.LOCAL
                else "put the official `pulumi` on PATH"
            )
        )


def _common(session: Session) -> list[str]:
    terminal = sys.stdout.isatty()
    return ["--stack", session.stack.name, "--parallel", "32", *([] if terminal else ["--color", "never"])]


def _only(session: Session, section: str | None) -> list[str]:
    if section is None:
        return []
    from stacks.settings import SECTIONS  # noqa: PLC0415 - the models are not needed for a whole stack

    if section not in SECTIONS:
        raise InputError(f"--only {section!r}: no such section; there are: {', '.join(sorted(SECTIONS))}")
    return [session.stack.name]


def _run_marked(session: Session, arguments: Sequence[str]) -> int:
    mark = healing.RunMark(session.stack.name)
    status = engine.run(session, arguments, extra_environment=mark.begin())
    mark.end()
    return status
