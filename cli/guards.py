"""What is checked before the engine starts: the surroundings of a run, as the engine's process will see them."""

from __future__ import annotations

from cli.configuration import refused
from cli.errors import InputError
from cli.session import Session
from stacks.settings import guards, production_fingerprints, render
from stacks.settings.schema import Settings
from toolchain.paths import ROOT


def refuse_unsafe(session: Session, settings: Settings) -> None:
    """Refuse a run whose surroundings do not fit its environment (POL-08, POL-10). Raises InputError."""
    with refused():
        production = production_fingerprints(ROOT)
    problems = guards.surroundings(
        settings.environment,
        session.environment,
        state_url=settings.sandbox.state_url if settings.sandbox else None,
        embedded=session.stack.embedded,
        production=production,
    )
    if problems:
        raise InputError(f"stack {session.stack.name!r} is not safe to run here:\n{render(problems)}")
