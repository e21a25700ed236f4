"""The gateway as one of the machines of a site, for what looks at machines without building them."""

from ..host.machine_args import MachineArgs
from .args import CM5GatewayArgs
from .checks import checklist, wan_checklist
from .gateway import Gateway
from .render import roles

__all__ = ["machine_of"]


def machine_of(args: CM5GatewayArgs) -> MachineArgs:
    """Describe the gateway with its connection, its roles, and its checks in order (CM5-266, CM5-276).

    Raises :class:`GatewayError` for what cannot be.
    """
    gateway = Gateway.of(args)
    return MachineArgs(
        connection=gateway.connection,
        roles={name: role.desired for name, role in roles(gateway).items()},
        checks={**checklist(gateway), **wan_checklist(gateway)},
    )
