"""The gateway as one of the machines of a site, for what looks at machines without building them."""

from ..host.machine_args import MachineArgs
from .args_gateway import TraefikGatewayArgs
from .checks import machine_checks
from .render_gateway import NAME, desired_state

__all__ = ["machine_of"]


def machine_of(args: TraefikGatewayArgs) -> MachineArgs:
    """Describe the gateway with its connection, its role, and the checks of section 14 that its machine can answer."""
    return MachineArgs(connection=args.host, roles={NAME: desired_state(args)}, checks=machine_checks(args))
