"""The embedded sandbox: real backends on loopback, run by one supervisor, and nothing of production in reach.

`Sandbox(state_dir).start(report)` returns the `Endpoints` of PostgreSQL, pgbouncer, Vault, Kubernetes and a host.
"""

from sandbox.endpoints import Endpoints
from sandbox.errors import SandboxError
from sandbox.status import BackendStatus, SandboxState, SandboxStatus
from sandbox.supervisor import Sandbox

__all__ = ["BackendStatus", "Endpoints", "Sandbox", "SandboxError", "SandboxState", "SandboxStatus"]
