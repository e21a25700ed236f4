"""The one place where the program reads its configuration: from the engine to a checked `Site`, or one clean error."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from . import guards
from .access import Access, access
from .addresses import addresses
from .endpoints import read_endpoints
from .load import load, production_fingerprints
from .needs import needs
from .problems import NAMESPACE, Problem, SettingsError, key_path, set_secret
from .schema import ENCRYPTED_SECTIONS, Settings
from .yaml_file import Encrypted

__all__ = ["Site", "from_pulumi"]

Secrets = Mapping[str, Mapping[str, pulumi.Output[str]]]


@dataclass(frozen=True)
class Site:
    """All that a stack is built from: what it is, how its backends are reached, and its applications' secrets."""

    settings: Settings
    access: Access
    secrets: Secrets
    editor_passwords: Mapping[str, pulumi.Output[str]]
    host_secrets: Secrets
    tokens: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """The credentials by name, for what is no provider of its own."""


def from_pulumi(variables: Mapping[str, str] = os.environ, directory: FilePath | None = None) -> Site:
    """Read and check the configuration of the running program.

    `variables` are the process's environment and `directory` holds the stack files, production's fingerprints among
    them. Every guard whose facts the program can see is applied before the first resource (POL-08, POL-10, POL-12,
    SBX-26, TEST-12). Raises `pulumi.RunError` with every problem: the engine prints it without a traceback.
    """
    try:
        return _site(variables, directory or FilePath.cwd())
    except SettingsError as error:
        message = f"the configuration is refused, nothing was changed:\n{error}"
        raise pulumi.RunError(message) from None


def _site(variables: Mapping[str, str], directory: FilePath) -> Site:
    raw, clear = _configuration()
    embedded = raw.get("backends") == "embedded"
    endpoints = read_endpoints(variables) if embedded else None
    production = production_fingerprints(directory) if raw.get("environment") == "sandbox" else guards.Fingerprints()
    source = f"Pulumi.{pulumi.get_stack()}.yaml"
    settings = load(raw, source, production=production, **({"endpoints": endpoints} if endpoints else {}))
    declared = settings.sandbox.state_url if settings.sandbox else None
    if problems := guards.surroundings(
        settings.environment, variables, state_url=declared, embedded=embedded, production=production
    ):
        raise SettingsError(problems)
    needed = frozenset(needs(dict(settings)))
    reached = access(settings, needed, clear.get("credentials", {}), endpoints)
    if settings.environment == "sandbox" and (
        problems := guards.resolved_hosts(_places(reached, settings), production, addresses)
    ):
        raise SettingsError(problems)
    for name in (raw.get("hosts") or {}).keys() - settings.hosts.keys():
        pulumi.log.warn(f"the host {name} is left out: this machine has no sshd, so the sandbox has no host")
    passwords = {app: pulumi.Output.secret(value) for app, value in clear.get("editor_passwords", {}).items()}
    return Site(
        settings,
        reached,
        _by_owner(clear.get("secrets", {})),
        passwords,
        _by_owner(clear.get("host_secrets", {})),
        {key: pulumi.Output.secret(value) for key, value in clear.get("credentials", {}).items()},
    )


def _by_owner(clear: Mapping[str, Mapping[str, str]]) -> Secrets:
    return {owner: {key: pulumi.Output.secret(value) for key, value in keys.items()} for owner, keys in clear.items()}


def _places(reached: Access, settings: Settings) -> dict[str, str]:
    """Return the host of every connection, by key."""
    machines = {
        f"hosts.{name}": machine.connection.address for name, machine in settings.hosts.items() if machine.connection
    }
    if settings.proxmox is not None:
        machines["proxmox"] = settings.proxmox.host
        guests = settings.proxmox.guests.items()
        machines |= {f"proxmox.guests.{name}": guest.host.address for name, guest in guests if guest.host}
    if settings.cm5_gateway is not None and settings.cm5_gateway.connection is not None:
        machines["cm5_gateway"] = settings.cm5_gateway.connection.address
    if settings.traefik_gateway is not None:
        machines["traefik_gateway"] = settings.traefik_gateway.host.address
    if settings.longhorn is not None and settings.longhorn.diagnosis is not None:
        nodes = settings.longhorn.diagnosis.hosts.items()
        machines |= {f"longhorn.diagnosis.hosts.{name}": host.address for name, host in nodes}
    return reached.hosts() | machines


def _configuration() -> tuple[dict[str, Any], dict[str, Any]]:
    """Split what the engine hands over: the configuration with its secrets masked, and the secrets in clear."""
    raw: dict[str, Any] = {}
    clear: dict[str, Any] = {}
    problems: list[Problem] = []
    for full_key, text in CONFIG.get().items():
        namespace, _, key = full_key.partition(":")
        if namespace != NAMESPACE:
            continue
        value = _parsed(text)
        if not is_config_secret(full_key):
            raw[key] = value
        elif key in ENCRYPTED_SECTIONS:
            problems += _empty(value, (key,))
            clear[key], raw[key] = value, _masked(value)
        else:
            raw[key] = Encrypted()
    if problems:
        raise SettingsError(problems)
    return raw, clear


def _parsed(text: str) -> Any:  # noqa: ANN401 - any configuration value
    """Undo what the engine does: sections and truth values come as JSON, plain words as they are."""
    if text[:1] not in {"{", "["} and text not in {"true", "false"}:
        return text or None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _masked(value: object) -> Any:  # noqa: ANN401 - any configuration value
    return {key: _masked(inner) for key, inner in value.items()} if isinstance(value, dict) else Encrypted()


def _empty(value: object, path: tuple[str, ...]) -> Iterable[Problem]:
    """Secrets are texts, and an empty one was forgotten."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _empty(inner, (*path, key))
    elif not isinstance(value, str) or not value:
        fix = f"Run {set_secret(pulumi.get_stack(), path)}"
        yield Problem("", key_path(path), "missing secret: it is empty or no text", fix)
