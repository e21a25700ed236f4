"""What a plugin's author writes: a :class:`Provider`, and behind it a :class:`Handler` for its resources.

The server (:mod:`.server`) does everything else: it validates each property against the official SDK before ``check``
sees it, unwraps secrets and puts them back, and turns errors into one sentence. Handlers are called from many threads.
"""

import secrets
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from .diff import Diff
from .values import Paths, Properties


class ProviderError(Exception):
    """A failure with a clean one-sentence message which names the object, what is wrong and, if known, what to do."""


class InitializationError(ProviderError):
    """The resource exists but is not as it should be: its state is kept, the run fails, the next run continues.

    Raise it from ``create``, ``update`` or ``read``. ``reasons`` are shown to the user, one line each; empty ``inputs``
    mean the inputs of the request.
    """

    def __init__(
        self, identity: str, outputs: Properties, reasons: Sequence[str], inputs: Properties | None = None
    ) -> None:
        super().__init__("; ".join(reasons))
        self.identity = identity
        self.outputs = outputs
        self.inputs = inputs
        self.reasons = list(reasons)


class Failure(NamedTuple):
    """A bad input: the property's path (``""`` for the resource as a whole) and what is wrong with it."""

    path: str
    reason: str


@dataclass(frozen=True)
class Context:
    """The circumstances of one request."""

    token: str
    urn: str = ""
    preview: bool = False
    """Nothing may be changed: answer with what would result, ``UNKNOWN`` where that cannot be known."""
    timeout: float | None = None
    """Seconds which the user gave this operation (``custom_timeouts``); None: the plugin's own default."""
    secret_inputs: Paths = frozenset()
    """Where the inputs are secret, or the outputs of the last run were, which an update and a delete are given too.

    What may repeat them (a command's own output) is neither logged nor told.
    """
    seed: bytes = b""
    """Random bytes, stable for one planned resource: for generated names in ``check``."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when the user interrupts the run: long waits watch it."""
    log: Callable[[str], None] = lambda _message: None
    """An information line of the resource, kept in the run's log."""
    warn: Callable[[str], None] = lambda _message: None
    """A warning of the resource."""
    status: Callable[[str], None] = lambda _message: None
    """A passing progress message, shown on the resource's own row only."""

    @property
    def name(self) -> str:
        """The resource's logical name."""
        return self.urn.rsplit("::", 1)[-1]

    def generated_name(self) -> str:
        """Return a name for the real object, as Pulumi gives to what has none: the logical name and 7 hex digits."""
        return f"{self.name}-{(self.seed or secrets.token_bytes(4)).hex()[:7]}"


class Created(NamedTuple):
    """A new resource's id (may be empty in a preview) and outputs."""

    identity: str
    outputs: Properties


class State(NamedTuple):
    """What is really there: the id, the inputs which would describe it, and its outputs."""

    identity: str
    inputs: Properties
    outputs: Properties


class Handler(Protocol):
    """One kind of resource, or several (``context.token`` tells). Every method may raise :class:`ProviderError`.

    ``identity`` is the resource's id. Subclass it explicitly to inherit ``secrets``.
    """

    @abstractmethod
    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Fill in defaults and validate beyond the types; ``olds`` are the inputs of the last run, or empty."""

    @abstractmethod
    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Tell exactly what changes; ``news`` may hold unknowns. Usually ``Diff.between(old_inputs, news, ...)``."""

    @abstractmethod
    def create(self, context: Context, inputs: Properties) -> Created:
        """Make it; in a preview, tell what would be made."""

    @abstractmethod
    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        """Read it from the backend; None if it is gone. On import both olds are empty: return full inputs."""

    @abstractmethod
    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        """Change it in place and return the outputs; in a preview, tell what would result."""

    @abstractmethod
    def delete(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> None:
        """Remove it; an object which is already gone is no error."""

    def secrets(self, token: str, secret_inputs: Paths) -> Paths:
        """Paths of inputs and outputs which are secret besides the inputs given so: always, or because some input is.

        The paths of secret inputs are applied to the outputs by the kit and need not be returned.
        """
        del token, secret_inputs
        return frozenset()


Function: TypeAlias = Callable[[Context, Properties], Properties]
"""Calls the function ``context.token`` with arguments."""


@dataclass(frozen=True)
class Backend:
    """A configured provider: its handlers and functions by token."""

    handler: Callable[[str], Handler]
    """Returns the handler of a token; raises :class:`ProviderError` for one it does not support."""
    functions: Mapping[str, Function] = field(default_factory=dict)


def by_token(handlers: Mapping[str, Handler]) -> Callable[[str], Handler]:
    """Look a handler up by its exact token."""

    def find(token: str) -> Handler:
        if token not in handlers:
            raise ProviderError(f"{token} is not served by this local plugin, which has {', '.join(sorted(handlers))}.")
        return handlers[token]

    return find


class Validator(Protocol):
    """Knows the types of a package; :class:`.sdk_types.InputTypes` is the usual one."""

    def resource(self, token: str, inputs: Properties) -> list[Failure]:
        """Failures of a resource's inputs: an unknown token or property is named."""

    def function(self, token: str, arguments: Properties) -> list[Failure]:
        """Failures of a function's arguments."""

    def config(self, config: Properties) -> list[Failure]:
        """Failures of the provider's own configuration, parsed."""

    def parse_config(self, config: Properties) -> Properties:
        """Read configuration values from the JSON text in which Pulumi hands over everything but strings."""


class Provider(Protocol):
    """A plugin: which SDK package it serves, what its inputs may be, and how it is configured."""

    package: str
    """The Python package of the official SDK, e.g. ``pulumi_postgresql``: it gives name and version."""
    types: Validator

    def check_config(self, config: Properties) -> list[Failure]:
        """Validate the configuration beyond the types; opens no connection."""

    def configure(self, config: Properties) -> Backend:
        """Return the backend of this configuration.

        Connect lazily: an unreachable backend is an error of the first request, within seconds, naming ``host:port``.
        """

    def close(self) -> None:
        """End what would outlive the plugin, such as running commands; called once, in the last moment."""
