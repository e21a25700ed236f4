"""The inputs of a ``HostState`` on the wire: all problems at once, by property path, and their typed form."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import Field, ValidationError

from components.host import HostStateArgs, RemoteHost
from components.host.args_values import ItemName
from components.host.transport_ssh import Login
from components.model import Model
from toolchain.plugins.kit import (
    UNKNOWN,
    Failure,
    Path,
    Paths,
    Properties,
    ProviderError,
    Value,
    format_path,
    has_unknown,
)

__all__ = ["CREDENTIALS", "Credentials", "Inputs", "Role", "for_preview", "normalised", "problems"]

_UNTIL_THEN: Final = "(known after the hosts and resources before are there)"
_PREFIX: Final = "Value error, "


class Credentials(Model):
    """The secrets of a connection, in clear."""

    private_key: str | None = Field(default=None, repr=False)
    passphrase: str | None = Field(default=None, repr=False)
    sudo_password: str | None = Field(default=None, repr=False)

    @property
    def login(self) -> Login:
        """What SSH needs of them."""
        return Login(self.private_key, self.passphrase)


CREDENTIALS: Final = frozenset(("credentials", name) for name in Credentials.model_fields)
"""Where a connection's secrets are. Each is one by itself, as in the program: all as one would differ in a refresh."""


class Role(Model):
    """A role and the way to its host."""

    host: RemoteHost
    credentials: Credentials = Credentials()
    role: ItemName

    @classmethod
    def of(cls, inputs: Properties) -> "Role":
        """Read them out of inputs from a state, whose document may be what a refresh found.

        Raises ProviderError for what another version of this plugin wrote and this one does not understand.
        """
        given = {name: inputs[name] for name in cls.model_fields if name in inputs}
        try:
            return cls.model_validate(given)
        except ValidationError:
            reasons = "; ".join(f"{path}: {reason}" for path, reason in problems(cls, given))
            raise ProviderError(
                f"the state describes this host in a way that is not understood here: {reasons}; run once with "
                "--refresh=false, which describes it anew."
            ) from None


class Inputs(Role):
    """The inputs of one role of one host."""

    desired: HostStateArgs


def problems(model: type[Model], inputs: Properties) -> list[Failure]:
    """Return everything that is wrong for the model; what is not known yet is not judged, and no value is repeated."""
    try:
        model.model_validate(_stand_in(inputs))
    except ValidationError as error:
        found = [(_inside(inputs, each["loc"]), each["msg"].removeprefix(_PREFIX)) for each in error.errors()]
        return [Failure(format_path(path), reason) for path, reason in found if not _unknown_at(inputs, path)]
    return []


def normalised(inputs: Properties, secret: Paths) -> Properties:
    """Spell the document out as its model does, and mark as secret what holds a secret.

    Two spellings of one document are no difference then.
    """
    desired = inputs["desired"]
    if desired is UNKNOWN:
        return inputs
    if not has_unknown(inputs):
        desired = HostStateArgs.model_validate(desired).document()
    return {**inputs, "desired": _marked(desired, {path[1:] for path in secret if path[:1] == ("desired",)})}


def for_preview(inputs: Properties) -> Inputs | None:
    """Return the inputs with something in the place of unknown texts; None where the host itself is not known yet."""
    if has_unknown(inputs.get("host")) or has_unknown(inputs.get("credentials")):
        return None
    try:
        return Inputs.model_validate(_stand_in(inputs))
    except ValidationError:
        return None  # an unknown value that is no text: `check` has found everything else


def _marked(desired: Properties, secret: set[Path]) -> Properties:
    """Set ``secret`` on files and steps of which something is secret."""
    marked = dict(desired)
    for kind in ("files", "steps"):
        keys = {path[1] for path in secret if len(path) > 1 and path[0] == kind}
        if keys:
            items = marked.get(kind, {})
            marked[kind] = {key: {**item, "secret": True} if key in keys else item for key, item in items.items()}
    return marked


def _stand_in(value: Value) -> Value:
    if isinstance(value, Mapping):
        return {key: _stand_in(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_stand_in(item) for item in value]
    return _UNTIL_THEN if value is UNKNOWN else value


def _inside(value: Any, location: tuple[int | str, ...]) -> Path:  # noqa: ANN401 any part of the inputs
    """Return the part of a model's error location that is a path in the inputs, without the model's own marks."""
    return tuple(_followed(value, location))


def _followed(value: Any, location: tuple[int | str, ...]) -> Iterator[int | str]:  # noqa: ANN401 any part of the inputs
    for number, segment in enumerate(location, 1):
        if _has(value, segment):
            value = value[segment]
            yield segment
        elif number == len(location) and isinstance(value, Mapping) and segment != "[key]":
            yield segment  # a missing property


def _has(value: Any, segment: int | str) -> bool:  # noqa: ANN401 any part of the inputs
    if isinstance(value, list):
        return isinstance(segment, int) and segment < len(value)
    return isinstance(value, Mapping) and segment in value


def _unknown_at(value: Value, path: Path) -> bool:
    """Whether something that is not known yet lies on the path or below its end."""
    for segment in path:
        if value is UNKNOWN:
            return True
        try:
            value = value[segment]
        except (KeyError, IndexError, TypeError):
            return False
    return has_unknown(value)
