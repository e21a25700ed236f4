"""A machine with its roles, each a `HostState`."""

from collections.abc import Mapping
from typing import Any

import pulumi

from ..options import child_options
from .component import HostState
from .credentials import Credentials
from .machine_args import LOGIN_SECRETS, MachineArgs

__all__ = ["Machine"]


class Machine(pulumi.ComponentResource):
    """A machine of a site. Its roles share one connection and queue for the machine's lock."""

    roles: pulumi.Output[Mapping[str, Mapping[str, Any]]]
    """What each role manages: ``count`` and ``names`` by heading."""

    def __init__(
        self,
        name: str,
        args: MachineArgs,
        *,
        secrets: Mapping[str, pulumi.Input[str]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the machine ``name``.

        ``secrets`` are the values of ``args.secrets``, and those of :data:`LOGIN_SECRETS` that open it. Raises
        ValueError when the connection or a secret is missing.
        """
        given = dict(secrets or {})
        if args.connection is None:
            message = f"host {name}: `connection` must be given"
            raise ValueError(message)
        if missing := sorted(args.secrets - given.keys()):
            message = f"host {name}: no value is given for {', '.join(missing)}"
            raise ValueError(message)
        super().__init__("factory:host:Machine", name, None, opts)
        credentials = Credentials(**{key: given[key] for key in LOGIN_SECRETS if key in given})
        roles = {
            role: HostState(
                f"{name}.{role}",
                args.connection,
                role,
                desired,
                credentials=credentials,
                contents={path: given[secret] for path, secret in args.contents_of(role).items()},
                opts=child_options(self, opts),
            )
            for role, desired in args.roles.items()
        }
        self.roles = pulumi.Output.all(**{role: state.summary for role, state in roles.items()})
        self.register_outputs({"roles": self.roles})
