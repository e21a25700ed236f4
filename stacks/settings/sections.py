"""The parts of a stack that can be brought up alone (`./factory up --only SECTION`), and what each one owns."""

from __future__ import annotations

from collections.abc import Iterable

from .problems import NAMESPACE, Problem, SettingsError, did_you_mean, key_path

__all__ = ["SECTIONS", "targets"]

SECTIONS = {
    "postgres_foundation": "factory:postgres:PostgresFoundation",
    "vault_foundation": "factory:vault:VaultFoundation",
    "apps": "factory:app:AppStack",
}
"""Each section's component type. A component's children carry its type in their URN, so the type finds all of them."""


def targets(section: str, stack: str, apps: Iterable[str] = ()) -> list[str]:
    """Return the `--target` patterns of a section, or of one application written `apps.NAME`.

    `apps` are the declared applications. Raises SettingsError for a section or application that is not there.
    Providers need no pattern: the engine always includes them. A pattern of one application cannot meet another's
    resources, because no application's name begins with another's (NAME-24).
    """
    name, _, app = section.partition(".")
    if name not in SECTIONS or (app and name != "apps"):
        known = [*SECTIONS, *(f"apps.{one}" for one in apps)]
        raise SettingsError([Problem("", section, "no such section", did_you_mean(section, known))])
    if app and app not in apps:
        raise SettingsError([Problem("", key_path(("apps", app)), "no such application", did_you_mean(app, apps))])
    kind, mine = f"urn:pulumi:{stack}::{NAMESPACE}::{SECTIONS[name]}", f"{app}*" if app else "*"
    return [f"{kind}::{app or '*'}", f"{kind}$**::{mine}"]
