"""The home-automation gateway: one machine between the home network and an isolated segment of field devices.

:class:`CM5GatewayArgs` says what it shall be, :class:`CM5Gateway` makes it so. The machine is generic; the product's
containers and services are data of the stack.
"""

from typing import TYPE_CHECKING

from ..exports import on_demand
from .args import CM5GatewayArgs
from .gateway import Facts, Gateway, GatewayError

if TYPE_CHECKING:
    from .component import CM5Gateway
else:
    __getattr__ = on_demand(__name__, {"CM5Gateway": "component"})

__all__ = ["CM5Gateway", "CM5GatewayArgs", "Facts", "Gateway", "GatewayError"]
