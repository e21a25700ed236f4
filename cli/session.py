"""Everything a command needs before it may start the engine for a stack."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import toolchain
from cli.errors import InputError
from cli.stack import Stack, backend_in_use
from sandbox.endpoints import Endpoints
from sandbox.supervisor import TOOLS as BACKEND_TOOLS
from sandbox.supervisor import Sandbox
from toolchain.engine_home import EngineHome, PluginSet, prepare, tools
from toolchain.paths import state_dir

# The sandbox holds nothing worth hiding, and its committed stack file must be readable in every clone.
PUBLIC_SANDBOX_PASSPHRASE = "factory-sandbox"  # noqa: S105 - public on purpose, docs/decisions.md

PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """A stack, the engine for it, and the environment variables that make a plain `pulumi` behave the same."""

    stack: Stack
    home: EngineHome
    exports: dict[str, str]

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
    # A sandbox declares its backend (POL-10); production's is the operator's choice, as with a plain `pulumi`.
    backend = backend_in_use() or stack.state_url
    if not stack.embedded and backend is None:
        raise InputError(
            f"nothing says where the state of stack {stack.name!r} is: run `pulumi login URL`, or set "
            "PULUMI_BACKEND_URL; docs/state-and-secrets.md has examples"
        )
    # All at once: one announcement of what has to be built, and one set of build caches.
    backends = BACKEND_TOOLS if stack.embedded and start_backends else ()
    toolchain.ensure([*tools(sandbox=stack.sandbox), *backends], report)
    home = prepare(sandbox=stack.sandbox, report=report)
    exports = home.environment | {"PULUMI_STACK": stack.name}
    if stack.embedded:
        exports |= _embedded_exports(start_backends, report)
    elif stack.sandbox and backend:
        exports["PULUMI_BACKEND_URL"] = backend  # the home of the local plugins knows of no login
    return Session(stack, home, exports)


def _embedded_exports(start_backends: bool, report: Report) -> dict[str, str]:  # noqa: FBT001 - private
    directory = state_dir()
    if start_backends:
        Sandbox(directory).start(report)
    backend = directory / "backend"
    backend.mkdir(mode=0o700, exist_ok=True)
    exports = {
        "FACTORY_ENDPOINTS": str(Endpoints.path(directory)),
        "PULUMI_BACKEND_URL": backend.as_uri(),
    }
    if not any(name in os.environ for name in PASSPHRASE_VARIABLES):
        exports["PULUMI_CONFIG_PASSPHRASE"] = PUBLIC_SANDBOX_PASSPHRASE
    return exports


def file_backend(session: Session) -> Path | None:
    """Return the folder of a `file://` state backend, or None for any other backend."""
    url = session.environment.get("PULUMI_BACKEND_URL", "")
    return Path(url.removeprefix("file://")) if url.startswith("file://") else None


__all__ = ["PluginSet", "Report", "Session", "file_backend", "open_session"]
