"""What is checked before the engine starts: facts that the program itself cannot see reliably."""

from __future__ import annotations

from pathlib import Path

from cli.errors import InputError
from cli.session import Session
from stacks.settings import guards, production_fingerprints, render
from stacks.settings.schema import Settings
from toolchain.paths import ROOT


def refuse_unsafe(session: Session, settings: Settings) -> None:
    """Refuse a run whose surroundings do not fit its environment (POL-08, POL-10, POL-12). Raises InputError."""
    environment = session.environment
    problems = guards.environment_variables(settings.environment, environment)
    if url := environment.get("PULUMI_BACKEND_URL"):
        problems += guards.backend_url(
            settings.environment,
            url,
            declared=settings.sandbox.state_url if settings.sandbox else None,
            embedded=session.stack.embedded,
            production=production_fingerprints(ROOT),
            home=str(Path.home()),
        )
    if problems:
        raise InputError(f"stack {session.stack.name!r} is not safe to run here:\n{render(problems)}")
