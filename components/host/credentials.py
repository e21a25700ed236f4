"""What opens a host: secrets of the stack, or nothing where the operator's agent or key files do."""

from dataclasses import dataclass

import pulumi

__all__ = ["Credentials"]


@dataclass(frozen=True)
class Credentials:
    """Secrets of a connection. They reach the state encrypted, and the host on standard input only."""

    private_key: pulumi.Input[str] | None = None
    """A private key in OpenSSH or PEM format; else ``identity_file``, the agent, and the operator's default keys."""
    passphrase: pulumi.Input[str] | None = None
    """The passphrase of that key, or of the one in ``identity_file``."""
    sudo_password: pulumi.Input[str] | None = None
    """The login user's password, for ``sudo: password``."""

    def as_inputs(self) -> dict[str, pulumi.Output[str]]:
        """Give what is there, as secrets."""
        given = {
            "private_key": self.private_key,
            "passphrase": self.passphrase,
            "sudo_password": self.sudo_password,
        }
        return {name: pulumi.Output.secret(value) for name, value in given.items() if value is not None}
