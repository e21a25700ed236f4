"""The base of every argument model: one place for the rules that all of them share."""

import ipaddress
import re
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

__all__ = [
    "CidrBlock",
    "DnsLabel",
    "HostName",
    "HttpUrl",
    "Model",
    "OperatorPath",
    "Port",
    "Quantity",
    "Seconds",
    "SqlName",
    "VaultPath",
    "about",
    "amount",
]

_PARTS: Final = frozenset({"schema", "items_schema", "keys_schema", "values_schema", "choices"})
"""Where a schema of pydantic has schemas within, but for the fields of a model."""

_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class Model(BaseModel):
    """Plain, validated, immutable values. An unknown key is an error, so a misspelt one is never ignored."""

    # Built when first used: a stack has few of the sections that its settings import.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler, /) -> CoreSchema:  # noqa: ANN401 - pydantic's own signature
        """Take no value for one of another kind: by default ``true`` would be the number 1, and ``"yes"`` true."""
        schema: CoreSchema = _exact(cls, handler(source))
        return schema


def _exact(model: type, schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return the schema of ``model`` with exact numbers and truth values; another model has seen to its own."""
    if isinstance(schema, list | tuple):
        return type(schema)(_exact(model, part) for part in schema)
    if not isinstance(schema, dict) or schema.get("cls", model) is not model:
        return schema
    kind = schema["type"]
    if kind == "bool":
        return {**schema, "strict": True}
    if kind in {"int", "float"}:
        # Not `strict`: over the engine's wire every number comes as a float.
        return no_info_before_validator_function(partial(_number, f"{kind}_type"), schema)
    inner = {key: _exact(model, schema[key]) for key in _PARTS & schema.keys()}
    if kind == "model-fields":
        inner["fields"] = {name: _exact(model, field) for name, field in schema["fields"].items()}
    return {**schema, **inner}


def _number(error: Any, value: object) -> object:  # noqa: ANN401 - one of pydantic's kinds of errors
    if isinstance(value, bool | str):
        raise PydanticKnownError(error)
    return value


def about(source: str, *, unit: str = "") -> JsonDict:
    """Note what the reference prints beside a field: the requirement it comes from and the unit of its value."""
    return {"source": source, "unit": unit}


DnsLabel = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}$", max_length=63)]
"""A name which Kubernetes and DNS accept as one label: at most 63 of ``a-z 0-9 -``."""

HostName = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253)]
"""A DNS name without a trailing dot."""

_URL_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
"""A DNS name, with a dot at its end if it is absolute, or an IPv4 address.

Unlike those of machines, names of containers may have an underscore.
"""


_BRACKETED: Final = re.compile(r"\[[^]]*\](:\d+)?")


def _reachable(url: str) -> str:
    if not _has_host(url):
        rule = "names no host and port that can be reached"
        advice = "a DNS name or an address, IPv6 in brackets, and a port from 1 to 65535 if any"
        message = f"{rule}; give {advice}"
        raise ValueError(message)
    return url


def _has_host(url: str) -> bool:
    """Read host and port as every client will: what none can read is found with the configuration, not in a run."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        bracketed = _BRACKETED.fullmatch(parts.netloc) is not None and bool(ipaddress.IPv6Address(host))
    except ValueError:
        return False
    named = bracketed or _URL_HOST.fullmatch(host) is not None
    return named and port != 0 and not parts.netloc.endswith(":")


HttpUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?$"), AfterValidator(_reachable)
]
"""A web address without a login, without a query and without a trailing slash; its host and port can be read."""


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        message = f"{text!r} is no range of addresses; write one such as 10.42.0.0/16"
        raise ValueError(message) from None
    return text


CidrBlock = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"), AfterValidator(_network)]
"""A range of addresses, for example ``10.42.0.0/16``."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port."""

Seconds = Annotated[int, Field(ge=1)]
"""A duration in whole seconds."""

SqlName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")]
"""A PostgreSQL identifier. Hyphens are allowed: every statement quotes it (NAME-26)."""

OperatorPath = Annotated[str, StringConstraints(pattern=r"^(/|~/)[^\x00\n]+$")]
"""A file or folder of the operator's machine, the same from wherever a command is called; ``~/`` is the home."""

VaultPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")]
"""The path of a Vault mount, without slashes at its ends."""

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
"""A Kubernetes quantity: ``250m`` (CPU), ``128Mi`` (memory), ``1Gi`` (storage)."""

_UNITS: Final = {"": 0, "m": -1, "k": 1, "M": 2, "G": 3, "T": 4, "Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4}
"""Powers of 1000, or of 1024 where the unit ends with ``i``."""


def amount(quantity: str) -> Decimal:
    """Read a quantity as a number, to compare it with another."""
    number = quantity.rstrip("mkKMGTi")
    unit = quantity[len(number) :]
    return Decimal(number) * Decimal(1024 if unit.endswith("i") else 1000) ** _UNITS[unit]
