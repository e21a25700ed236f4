"""What the package has, for the kit; the inputs themselves are checked by their models."""

from collections.abc import Collection

from toolchain.plugins.kit import Failure, Properties

__all__ = ["Tokens"]


class Tokens:
    """Knows the tokens, and that neither functions nor configuration exist."""

    def __init__(self, tokens: Collection[str]) -> None:
        self._tokens = sorted(tokens)

    def resource(self, token: str, inputs: Properties) -> list[Failure]:
        """Refuse what is not served."""
        del inputs
        if token in self._tokens:
            return []
        return [Failure("", f"the package factory-host has no resource {token}: it has {', '.join(self._tokens)}")]

    def function(self, token: str, arguments: Properties) -> list[Failure]:
        """Refuse: there is none."""
        del arguments
        return [Failure("", f"the package factory-host has no function {token}")]

    def config(self, config: Properties) -> list[Failure]:
        """Refuse: there is nothing to configure."""
        return [Failure(key, "the provider factory-host has no configuration: remove it") for key in config]

    def parse_config(self, config: Properties) -> Properties:
        """Return it as it is."""
        return config
