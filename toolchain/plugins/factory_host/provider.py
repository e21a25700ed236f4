"""The provider: one event loop and one set of connections for all resources of a run."""

from components.host.pool import HostPool
from toolchain.plugins.kit import Backend, Failure, Properties, Validator, by_token

from .host_state import TOKEN, HostStateHandler
from .loop import Loop
from .tokens import Tokens

__all__ = ["FactoryProvider"]


class FactoryProvider:
    """The provider of ``factory-host``; it has no configuration."""

    package = "toolchain.plugins.factory_host"
    types: Validator = Tokens([TOKEN])

    def __init__(self) -> None:
        self._host_state = HostStateHandler(Loop(), HostPool())

    def check_config(self, config: Properties) -> list[Failure]:
        """Accept: what there is was refused already."""
        del config
        return []

    def configure(self, config: Properties) -> Backend:
        """Return the resources."""
        del config
        return Backend(by_token({TOKEN: self._host_state}))

    def close(self) -> None:
        """Give the hosts' locks back and disconnect."""
        self._host_state.close()
