"""What a rule sees of a resource: plain values, whatever the engine's protocol looks like."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

ROOT_STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_TYPE_PREFIX: Final = "pulumi:providers:"

_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$-]*")


class Unknown:
    """The type of `UNKNOWN`: a value which the engine learns only during `up`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()

Value: TypeAlias = "str | int | float | bool | Unknown | list[Value] | dict[str, Value] | None"
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class ProviderView:
    """The provider a resource is managed by."""

    type: str
    name: str


@dataclass(frozen=True)
class ResourceView:
    """One resource or provider, before the engine acts on it. Secrets are in clear here and must not be printed."""

    type: str
    name: str
    props: Mapping[str, Value] = field(default_factory=dict)
    provider: ProviderView | None = None

    @property
    def is_provider(self) -> bool:
        """True for the configuration of a provider, which is a resource of its own."""
        return self.type.startswith(PROVIDER_TYPE_PREFIX)

    @property
    def is_root_stack(self) -> bool:
        """True for the resource every other one is a child of: the first the engine asks about in every run."""
        return self.type == ROOT_STACK_TYPE

    @property
    def package(self) -> str:
        """The package which serves the resource: `vault` for its mounts as for its provider."""
        return self.type.removeprefix(PROVIDER_TYPE_PREFIX).partition(":")[0]

    def text(self, key: str) -> str | None:
        """Return the top-level property `key` if it is a known, non-empty string."""
        value = self.props.get(key)
        return value if isinstance(value, str) and value else None

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Yield every known string at any depth, with the path it stands at."""
        for path, value in _walk((), dict(self.props)):
            if isinstance(value, str):
                yield path, value

    def keys(self) -> Iterator[tuple[Path, str]]:
        """Yield every key of a mapping at any depth, with its path."""
        for path, value in _walk((), dict(self.props), containers=True):
            if isinstance(value, dict):
                yield from (((*path, key), key) for key in value)

    def unknowns(self) -> Iterator[Path]:
        """Yield the path of every value that is not known yet."""
        for path, value in _walk((), dict(self.props)):
            if value is UNKNOWN:
                yield path


def _walk(path: Path, value: Value, *, containers: bool = False) -> Iterator[tuple[Path, Value]]:
    """Yield every scalar below `value`; with `containers`, mappings and lists too."""
    inner: Iterable[tuple[str | int, Value]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    if containers or not isinstance(value, dict | list):
        yield path, value
    for step, below in inner:
        yield from _walk((*path, step), below, containers=containers)


def show(path: Path) -> str:
    """Write a path as Pulumi does: `spec.rules[0].host`, keys with dots quoted."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            shown += f".{step}" if shown else step
        else:
            shown += f'["{step}"]'
    return shown
