"""The base of every argument model: one place for the rules that all of them share."""

import ipaddress
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

__all__ = [
    "CidrBlock",
    "DnsLabel",
    "HostName",
    "HttpUrl",
    "Model",
    "Port",
    "Quantity",
    "Seconds",
    "SqlName",
    "VaultPath",
    "about",
]

_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class Model(BaseModel):
    """Plain, validated, immutable values. An unknown key is an error, so a misspelt one is never ignored."""

    # Built when first used: a stack has few of the sections that its settings import.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)


def about(source: str, *, unit: str = "") -> JsonDict:
    """Note what the reference prints beside a field: the requirement it comes from and the unit of its value."""
    return {"source": source, "unit": unit}


DnsLabel = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}$", max_length=63)]
"""A name which Kubernetes and DNS accept as one label: at most 63 of ``a-z 0-9 -``."""

HostName = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253)]
"""A DNS name without a trailing dot."""

HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*[^\s?#/])?$")]
"""A web address without a login, without a query and without a trailing slash."""


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

VaultPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")]
"""The path of a Vault mount, without slashes at its ends."""

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
"""A Kubernetes quantity: ``250m`` (CPU), ``128Mi`` (memory), ``1Gi`` (storage)."""
