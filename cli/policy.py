"""The policy pack is part of every run: here are the facts it judges by, for it sees no configuration itself."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from cli.configuration import refused
from cli.errors import writing
from cli.session import Session
from policies.pack_config import pack_config
from stacks.settings import production_fingerprints
from stacks.settings.access import access
from stacks.settings.addresses import addresses
from stacks.settings.endpoints import read_endpoints
from stacks.settings.needs import needs
from stacks.settings.schema import Settings
from toolchain.paths import ROOT, state_dir

_LOOPBACK = ("127.0.0.0/8", "::1/128")


def policy_arguments(session: Session, settings: Settings) -> list[str]:
    """Return the engine's arguments that put the pack into the run."""
    config = write_policy_config(session, settings)
    return ["--policy-pack", str(ROOT / "policies"), "--policy-pack-config", str(config)]


def write_policy_config(session: Session, settings: Settings) -> Path:
    """Write what the pack is told about this stack. It holds names and addresses, no secret. Raises InputError."""
    with refused():
        endpoints = read_endpoints(session.environment) if session.stack.embedded else None
        cluster = access(settings, frozenset(needs(dict(settings))) & {"kubernetes"}, {}, endpoints).kubernetes
        fingerprints = production_fingerprints(ROOT)
    hosts = {
        urlsplit(cluster.server).hostname if cluster else None,
        urlsplit(settings.vault.address).hostname if settings.vault else None,
        settings.postgres.host if settings.postgres else None,
    }
    document = pack_config(
        settings.environment,
        fingerprints.model_dump(),
        i_mean_prod=settings.i_mean_prod,
        kube_contexts=[cluster.context] if cluster else [],
        kube_servers=[cluster.server] if cluster else [],
        resolved={host: addresses(host) for host in hosts if host},
        sandbox_networks=_LOOPBACK if session.stack.embedded else (),
    )
    file = state_dir() / "policies" / f"{session.stack.name}.json"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with writing(file):
        file.write_text(json.dumps(document, indent=2), "utf-8")
    return file
