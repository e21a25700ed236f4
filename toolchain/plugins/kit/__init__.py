"""Everything a local provider plugin needs but its own resources.

A plugin is a :class:`Provider` and ends with ``serve(PROVIDER)``. See :mod:`.handler` for what to write.
"""

from .diff import Change, Diff, above, below, compare, format_path, parse_path
from .handler import (
    Backend,
    Context,
    Created,
    Failure,
    Function,
    Handler,
    InitializationError,
    Provider,
    ProviderError,
    State,
    Validator,
    by_token,
)
from .process import serve
from .sdk_types import InputTypes
from .values import UNKNOWN, Archive, Asset, Path, Paths, Properties, Unknown, Value, has_unknown

__all__ = [
    "UNKNOWN",
    "Archive",
    "Asset",
    "Backend",
    "Change",
    "Context",
    "Created",
    "Diff",
    "Failure",
    "Function",
    "Handler",
    "InitializationError",
    "InputTypes",
    "Path",
    "Paths",
    "Properties",
    "Provider",
    "ProviderError",
    "State",
    "Unknown",
    "Validator",
    "Value",
    "above",
    "below",
    "by_token",
    "compare",
    "format_path",
    "has_unknown",
    "parse_path",
    "serve",
]
