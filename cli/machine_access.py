"""What a command needs before it speaks with a machine of a stack: its description, and the secrets that open it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cli.configuration import refused
from cli.decrypted import decrypted
from cli.session import Report, open_session
from cli.stack import Stack
from components.host.machine_args import LOGIN_SECRETS
from components.host.transport_ssh import Login
from sandbox.endpoints import Endpoints as SandboxEndpoints
from stacks.settings import load, production_fingerprints
from stacks.settings.endpoints import ENDPOINTS_VARIABLE, PLACEHOLDER, read_endpoints
from stacks.settings.schema import Settings
from stacks.settings.yaml_file import read
from toolchain import state_dir

__all__ = ["login_of", "login_secrets", "settings_with_machines"]


def settings_with_machines(stack: Stack) -> Settings:
    """Return the settings, with the machines of a sandbox that runs. Raises InputError with all problems."""
    with refused():
        endpoints = PLACEHOLDER
        if stack.embedded:
            endpoints = read_endpoints({ENDPOINTS_VARIABLE: str(SandboxEndpoints.path(state_dir()))})
        file = read(stack.file)
        production = production_fingerprints(stack.file.parent)
        return load(file.values, file, production=production, endpoints=endpoints)


def login_secrets(
    stack: Stack, settings: Settings, names: Iterable[str], report: Report
) -> Mapping[str, Mapping[str, str]]:
    """Decrypt what opens the machines; the engine is asked only where there is something to decrypt."""
    if not any(settings.host_secrets.get(name, frozenset()) & set(LOGIN_SECRETS) for name in names):
        return {}
    session = open_session(stack, report, start_backends=False)
    return decrypted(session, "host_secrets")


def login_of(secrets: Mapping[str, str]) -> Login:
    """Return what SSH needs of a machine's secrets."""
    return Login(secrets.get("private_key"), secrets.get("passphrase"))
