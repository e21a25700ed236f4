"""Where the embedded backends listen and who may log in: `<state_dir>/endpoints.json`, mode 0600.

The supervisor writes the file once every backend is ready. It holds secrets: nothing of it may be printed or logged,
so secret fields are kept out of `repr`.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.errors import SandboxError
from sandbox.files import write_private

ENDPOINTS_FILE = "endpoints.json"


# A start of what runs already writes nothing.
_ANEW = "run `./factory sandbox stop`, then `./factory sandbox start`, which writes it"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PostgresEndpoint(_Section):
    """The PostgreSQL server and its superuser."""

    host: str = Field(description="Loopback address of the server.")
    port: int = Field(description="TCP port.", ge=1, le=65535)
    username: str = Field(description="The superuser.")
    password: str = Field(description="The superuser's password (secret).", repr=False)
    sslmode: str = Field(description="libpq sslmode; the embedded server is built without TLS, hence `disable`.")


class PoolerEndpoint(_Section):
    """The pgbouncer in front of PostgreSQL (PG-13); absent where no pgbouncer can be had."""

    host: str = Field(description="Loopback address of the pooler.")
    port: int = Field(description="TCP port.", ge=1, le=65535)
    auth_role: str = Field(description="The role the pooler looks users up with; it exists already (PG-14).")
    auth_password: str = Field(description="That role's password (secret); clients cannot use it (PG-31).", repr=False)


class VaultEndpoint(_Section):
    """The Vault server: initialised and unsealed."""

    address: str = Field(description="https URL.")
    ca_cert_pem: str = Field(description="PEM of the authority that signed the server's certificate.")
    root_token: str = Field(description="The root token (secret).", repr=False)


class KubernetesEndpoint(_Section):
    """The Kubernetes API server and its administrator."""

    server: str = Field(description="https URL.")
    kubeconfig: str = Field(description="A whole kubeconfig (YAML) with the administrator's key (secret).", repr=False)
    context: str = Field(description="The context of that kubeconfig.")
    ca_cert_pem: str = Field(description="PEM of the authority that signed the server's certificate.")


class SshEndpoint(_Section):
    """The SSH server that stands for a host; absent where no server can be had."""

    address: str = Field(description="Loopback address of the server.")
    port: int = Field(description="TCP port.", ge=1, le=65535)
    user: str = Field(description="Who logs in: whoever runs the sandbox.")
    host_key: str = Field(description="The server's public key.")
    identity_file: str = Field(description="Path of the private key that is let in.")
    root: str = Field(description="The directory that stands for the host's root directory.")
    python: str = Field(description="Python interpreter.")


class Endpoints(_Section):
    """All that a stack needs to reach the embedded backends."""

    postgres: PostgresEndpoint
    pooler: PoolerEndpoint | None
    vault: VaultEndpoint
    kubernetes: KubernetesEndpoint
    ssh: SshEndpoint | None = None

    @staticmethod
    def path(state_dir: Path) -> Path:
        """Return the file below a state directory."""
        return state_dir / ENDPOINTS_FILE

    @classmethod
    def load(cls, state_dir: Path) -> Endpoints:
        """Read the file; raises `SandboxError` when it is missing or damaged."""
        path = cls.path(state_dir)
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise SandboxError(f"{path} does not exist: {_ANEW}") from error
        except (OSError, ValidationError) as error:
            # A validation message would repeat the values, and some of them are secrets.
            raise SandboxError(f"{path} cannot be read: {_ANEW}") from error

    def save(self, state_dir: Path) -> None:
        """Write the file atomically with mode 0600."""
        write_private(self.path(state_dir), self.model_dump_json(indent=2).encode() + b"\n")
