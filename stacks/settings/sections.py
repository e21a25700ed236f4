"""The parts of a stack that can be brought up alone (`./factory up --only SECTION`), and what each one owns."""

from __future__ import annotations

from collections.abc import Iterable

from .problems import NAMESPACE, Problem, SettingsError, did_you_mean, key_path

__all__ = ["SECTIONS", "targets"]

SECTIONS = {
    "postgres_foundation": "factory:postgres:PostgresFoundation",
    "vault_foundation": "factory:vault:VaultFoundation",
    "apps": "factory:app:AppStack",
    "hosts": "factory:host:Machine",
    "cm5_gateway": "factory:cm5:CM5Gateway",
    "traefik_gateway": "factory:traefik:TraefikGateway",
    "proxmox": "pulumi-python:dynamic/factory:ProxmoxNotes",
    "longhorn": "factory:longhorn:LonghornStorage",
}
"""Each section's type. A component's children carry its type in their URN, so the type finds all of them."""


def targets(section: str, stack: str, apps: Iterable[str] = (), hosts: Iterable[str] = ()) -> list[str]:
    """Return the `--target` patterns of a section, or of one application or host, written `apps.NAME`.

    `apps` and `hosts` are the declared ones. Raises SettingsError for what is not there. Providers need no pattern: the
    engine always includes them. A pattern of one application cannot meet another's resources, because no application's
    name begins with another's (NAME-24); what belongs to a host is called `HOST.ROLE`.
    """
    name, dot, item = section.partition(".")
    declared = {"apps": apps, "hosts": hosts}
    if name not in SECTIONS or (dot and (name not in declared or not item)):
        known = [*SECTIONS, *(f"{kind}.{one}" for kind, names in declared.items() for one in names)]
        raise SettingsError([Problem("", repr(section), "no such section", did_you_mean(section, known))])
    if item and item not in declared[name]:
        rule = "no such application" if name == "apps" else "no such host"
        raise SettingsError([Problem("", key_path((name, item)), rule, did_you_mean(item, declared[name]))])
    # A section can stand within another: the notes are the gateway's, where there is one.
    kind = f"urn:pulumi:{stack}::{NAMESPACE}::**{SECTIONS[name]}"
    mine = f"{item}{'.' if name == 'hosts' else ''}*" if item else "*"
    return [f"{kind}::{item or '*'}", f"{kind}$**::{mine}"]
