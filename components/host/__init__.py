"""The state of a machine over SSH (design section 3).

:class:`RemoteHost` says how it is reached, :class:`HostStateArgs` what one role wants of it, :class:`HostState` is the
resource that makes it so.
"""

from typing import TYPE_CHECKING

from ..exports import on_demand
from .args import HostStateArgs
from .remote_host import JumpHost, RemoteHost, Sudo

if TYPE_CHECKING:
    from .component import FactoryProvider, HostState
    from .connection import command_connection
    from .credentials import Credentials
    from .facts import HostFacts
else:
    __getattr__ = on_demand(
        __name__,
        {
            "Credentials": "credentials",
            "FactoryProvider": "component",
            "HostFacts": "facts",
            "HostState": "component",
            "command_connection": "connection",
        },
    )

__all__ = [
    "Credentials",
    "FactoryProvider",
    "HostFacts",
    "HostState",
    "HostStateArgs",
    "JumpHost",
    "RemoteHost",
    "Sudo",
    "command_connection",
]
