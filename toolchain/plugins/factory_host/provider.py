"""The provider: one event loop and one set of connections for all resources of a run."""

from components.host.pool import HostPool
from toolchain.plugins.kit import Backend, Failure, Properties, Validator, by_token

from .host_facts import TOKEN as HOST_FACTS
from .host_facts import HostFactsHandler
from .host_state import TOKEN as HOST_STATE
from .host_state import HostStateHandler
from .loop import Loop
from .tokens import Tokens

__all__ = ["FactoryProvider"]


class FactoryProvider:
    """The provider of ``factory-host``; it has no configuration."""

    package = "toolchain.plugins.factory_host"
    types: Validator = Tokens([HOST_FACTS, HOST_STATE])

    def __init__(self) -> None:
        loop, pool = Loop(), HostPool()
        self._host_state = HostStateHandler(loop, pool)
        self._host_facts = HostFactsHandler(loop, pool)

    def check_config(self, config: Properties) -> list[Failure]:
        """Accept: what there is was refused already."""
        del config
        return []

    def configure(self, config: Properties) -> Backend:
        """Return the resources."""
        del config
        return Backend(by_token({HOST_STATE: self._host_state, HOST_FACTS: self._host_facts}))

    def close(self) -> None:
        """Give the hosts' locks back and disconnect."""
        self._host_state.close()
