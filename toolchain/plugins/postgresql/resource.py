"""What all resources of this plugin have in common."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from toolchain.plugins.kit import Context, Created, Diff, Failure, Handler, Properties, State, has_unknown

from .connections import NoDatabaseError, Server, explained


class Resource(Handler):
    """A database object whose inputs describe it completely: reading it gives the inputs which would make it.

    Defaults are written into the inputs, so that drift of a property nobody mentioned is seen as well.
    """

    noun: ClassVar[str]
    defaults: ClassVar[Properties] = {}
    sets: ClassVar[Sequence[str]] = ()
    """Lists whose order means nothing; they are kept sorted, and an absent one as empty."""
    replace_on: ClassVar[Sequence[str]] = ()
    ignore: ClassVar[Sequence[str]] = ()
    """Properties which nothing on the server stands for: they say how later changes are made."""
    optional: ClassVar[Sequence[str]] = ()
    """Properties which the server decides when they are not given: then they are neither compared nor changed."""
    has_name: ClassVar[bool] = True
    """Whether a name is generated when none is given."""

    def __init__(self, server: Server) -> None:
        self.server = server

    # -- what each resource says about itself

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """Yield what is wrong beyond the types; values may be unknown."""
        del inputs
        yield from ()

    @abstractmethod
    def identity(self, inputs: Properties) -> str:
        """Return the id, in the official provider's form."""

    @abstractmethod
    def locate(self, identity: str) -> Properties:
        """Return the inputs which an id alone tells; raises :class:`ProviderError` for an id of another form."""

    @abstractmethod
    def make(self, inputs: Properties) -> None:
        """Create it."""

    @abstractmethod
    def observe(self, wanted: Properties) -> Properties | None:
        """Return the inputs which describe what is there, or None.

        ``wanted`` tells where to find it, and how to spell what is equal.
        """

    @abstractmethod
    def change(self, old: Properties, new: Properties) -> None:
        """Alter it from old to new."""

    @abstractmethod
    def drop(self, inputs: Properties) -> None:
        """Remove it, if it is there."""

    def outputs(self, inputs: Properties) -> Properties:
        """Return the outputs of these inputs."""
        return dict(inputs)

    def remembered(self, old_outputs: Properties) -> Properties:
        """Return what ``observe`` is to know besides the inputs."""
        del old_outputs
        return {}

    # -- the Handler protocol

    def check(self, context: Context, olds: Properties, news: Properties) -> tuple[Properties, list[Failure]]:
        """Fill in defaults and the name; sort sets."""
        inputs = {**self.defaults, **news}
        for name in self.sets:
            if not has_unknown(inputs.get(name)):
                inputs[name] = sorted(set(inputs.get(name) or ()))
        if self.has_name and "name" not in inputs:
            inputs["name"] = olds.get("name") or context.generated_name()
        return inputs, list(self.problems(inputs))

    def diff(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Compare inputs."""
        del context, identity, old_outputs
        ignore = [*self.ignore, *(name for name in self.optional if name not in news)]
        return Diff.between(old_inputs, news, replace_on=self.replace_on, ignore=ignore)

    def create(self, context: Context, inputs: Properties) -> Created:
        """Create it, unless this is a preview."""
        if context.preview:
            return Created("", self.outputs(inputs))
        identity = self.identity(inputs)
        with explained(f"create {self.noun} {identity}", self.server.address):
            self.make(inputs)
            return Created(identity, self.outputs(inputs))

    def read(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> State | None:
        """Observe it; on import its inputs begin with the defaults."""
        del context
        with explained(f"read {self.noun} {identity}", self.server.address):
            try:
                wanted = old_inputs or {**self.defaults, **{name: [] for name in self.sets}, **self.locate(identity)}
                found = self.observe({**wanted, **self.remembered(old_outputs)})
            except NoDatabaseError:
                return None
            if found is None:
                return None
            found = {name: value for name, value in found.items() if value is not None}
            return State(self.identity(found), found, self.outputs(found))

    def update(
        self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Properties:
        """Alter it, unless this is a preview."""
        del old_outputs
        with explained(f"change {self.noun} {identity}", self.server.address):
            if not context.preview:
                self.change(old_inputs, news)
            return self.outputs(news)

    def delete(self, context: Context, identity: str, old_inputs: Properties, old_outputs: Properties) -> None:
        """Drop it; if its database is gone, so is it."""
        del context, old_outputs
        with explained(f"remove {self.noun} {identity}", self.server.address):
            try:
                self.drop(old_inputs)
            except NoDatabaseError:
                return
