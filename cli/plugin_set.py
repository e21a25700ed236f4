"""A state remembers the provider plugins that made it, in a tag of its stack, and refuses others."""

from __future__ import annotations

import json

from cli import engine
from cli.errors import CommandError
from cli.session import PluginSet, Session, file_backend
from cli.stack import PROJECT

_TAG = "factory:plugins"


def check(session: Session) -> None:
    """Refuse a state that the other plugin set made: both promise the same program, not the same state.

    A stack that does not exist yet is made, and its plugin set noted. Raises CommandError.
    """
    ours, stack = session.home.plugins, session.stack.name
    recorded = _noted_in_file(session) or _tags(session).get(_TAG)
    if recorded is None:
        engine.capture(session, ["stack", "tag", "set", _TAG, ours, "--stack", stack])
    elif recorded != ours:
        advice = (
            "take the official `pulumi` off PATH, or start over with `./factory sandbox reset --yes`"
            if recorded == PluginSet.LOCAL
            else "put the official `pulumi` on PATH"
        )
        raise CommandError(
            f"the state of stack {stack!r} was made with the {recorded} provider plugins and cannot be used with the "
            f"{ours} ones; {advice}"
        )


def _noted_in_file(session: Session) -> str | None:
    """Return the tag from the engine's own file, where the state is a file; None where only the engine can tell.

    It is the same for every run of a stack: an engine of its own to read one word would be a tenth of a preview.
    """
    backend = file_backend(session)
    if backend is None:
        return None
    stacks = backend / ".pulumi" / "stacks" / PROJECT
    if not (stacks / f"{session.stack.name}.json").is_file():
        return None
    try:
        content = json.loads((stacks / f"{session.stack.name}.pulumi-tags").read_text("utf-8"))
        return str(content["tags"][_TAG]) if content["version"] == 1 else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


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
