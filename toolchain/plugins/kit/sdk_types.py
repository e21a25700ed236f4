"""The input types of an official Python SDK, as installed: what a resource, a function and the provider accept."""

from .handler import Failure
from .values import Properties


class InputTypes:
    """The input types of one SDK package, e.g. ``InputTypes("pulumi_postgresql")``.

    Each method returns all failures at once; an unknown token or property is named, with the nearest known name.
    Unknown values fit any type. ``None`` counts as absent.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    def resource(self, token: str, inputs: Properties) -> list[Failure]:
        """Failures of a resource's inputs: token, property names (also nested), types, required ones missing."""
        raise NotImplementedError

    def function(self, token: str, arguments: Properties) -> list[Failure]:
        """Failures of a function's arguments."""
        raise NotImplementedError

    def config(self, config: Properties) -> list[Failure]:
        """Failures of the provider's own configuration."""
        raise NotImplementedError
