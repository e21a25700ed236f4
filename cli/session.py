"""Everything a command needs before it may start the engine for a stack."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

import toolchain
from cli.errors import InputError
from cli.stack import BACKEND_VARIABLE, Stack, account_home
from sandbox.endpoints import Endpoints
from sandbox.supervisor import TOOLS as BACKEND_TOOLS
from sandbox.supervisor import Sandbox
from toolchain.engine_home import EngineHome, PluginSet, prepare, tools
from toolchain.paths import ROOT, state_dir

# The sandbox holds nothing worth hiding, and its committed stack file must be readable in every clone.
PUBLIC_SANDBOX_PASSPHRASE = "factory-sandbox"  # noqa: S105 - public on purpose, docs/decisions.md

PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """A stack, the engine for it, and the environment variables that make a plain `pulumi` behave the same.

    One of them names the state's backend, however it was chosen: the engine, the guards and the healing go by it.
    """

    stack: Stack
    home: EngineHome
    exports: dict[str, str]

    @property
    def backend(self) -> str:
        """The URL of the backend that has the stack's state."""
        return self.exports[BACKEND_VARIABLE]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the engine's process."""
        return os.environ | self.exports


def open_session(stack: Stack, report: Report, *, start_backends: bool = True) -> Session:
    """Get the engine and, for an embedded stack, start the backends.

    Raises InputError when a stack that is not a sandbox asks for embedded backends or when nothing says where the state
    is, ToolError, SandboxError.
    """
    if stack.embedded and not stack.sandbox:
        raise InputError(
            f"{stack.file.name}: factory:backends is `embedded` but factory:environment is {stack.environment!r}; "
            "the embedded backends serve `environment: sandbox` only"
        )
    chosen = None if stack.embedded else _chosen_backend(stack)
    # All at once: one announcement of what has to be built, and one set of build caches.
    backends = BACKEND_TOOLS if stack.embedded and start_backends else ()
    toolchain.ensure([*tools(sandbox=stack.sandbox), *backends], report)
    home = prepare(sandbox=stack.sandbox, report=report)
    # Vault's client would go to the shell's agent with the stack's token, whatever address the provider is given.
    exports = home.environment | {"PULUMI_STACK": stack.name, "VAULT_AGENT_ADDR": ""}
    exports |= {BACKEND_VARIABLE: chosen} if chosen else _embedded_exports(start_backends, report)
    return Session(stack, home, exports)


def _chosen_backend(stack: Stack) -> str:
    if url := stack.backend:
        return url
    raise InputError(
        f"nothing says where the state of stack {stack.name!r} is: set {BACKEND_VARIABLE}=URL, or run "
        "`pulumi login URL`; docs/state-and-secrets.md has examples"
    )


def _embedded_exports(start_backends: bool, report: Report) -> dict[str, str]:  # noqa: FBT001 - private
    directory = state_dir()
    if start_backends:
        Sandbox(directory).start(report)
    backend = directory / "backend"
    backend.mkdir(mode=0o700, exist_ok=True)
    exports = {"FACTORY_ENDPOINTS": str(Endpoints.path(directory)), BACKEND_VARIABLE: backend.as_uri()}
    if not any(name in os.environ for name in PASSPHRASE_VARIABLES):
        exports["PULUMI_CONFIG_PASSPHRASE"] = PUBLIC_SANDBOX_PASSPHRASE
    return exports


def file_backend(session: Session) -> Path | None:
    """Return the folder that the engine takes for a `file://` state backend, or None for any other backend."""
    scheme, _, rest = session.backend.partition("://")
    if scheme != "file":
        return None
    path = Path(os.fsdecode(unquote_to_bytes(os.fsencode(re.split("[?#]", rest, maxsplit=1)[0]))))
    if rest.startswith("~"):
        return account_home().joinpath(*path.parts[1:])
    return ROOT / path  # a relative one begins where the engine runs


__all__ = ["PluginSet", "Report", "Session", "file_backend", "open_session"]
