"""Plain values that the gateway's arguments share."""

import ipaddress
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from ..host.args_values import AbsolutePath

__all__ = ["EnvName", "Ipv4", "LeaseTime", "MacAddress", "PlainPath", "RelativePath", "SecretName", "ipv4_network"]

_MULTICAST: Final = 1


def _hardware(mac: str) -> str:
    lower = mac.lower()
    if int(lower[:2], 16) & _MULTICAST or not lower.strip("0:"):
        message = f"{mac!r} is the address of no network interface: read it on the device with `ip link`"
        raise ValueError(message)
    return lower


def _ipv4(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError as error:
        message = f"{text!r} is not an IPv4 address: write four numbers from 0 to 255"
        raise ValueError(message) from error
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        message = f"{text!r} is the address of no interface on a network: give a host's address"
        raise ValueError(message)
    return text


def _below(path: str) -> str:
    if any(part in {"", ".", ".."} for part in path.split("/")):
        message = f"{path!r} is not a plain relative path: write it without '.', '..' and doubled slashes"
        raise ValueError(message)
    return path


MacAddress = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$"), AfterValidator(_hardware)
]
"""Hardware address of one interface with colons, kept in lower case (CM5-77)."""

Ipv4 = Annotated[str, AfterValidator(_ipv4)]
"""The IPv4 address of a host."""

LeaseTime = Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]*[smhdw]?|infinite)$")]
"""A duration as dnsmasq writes it: ``12h``, ``45m``, ``infinite`` (CM5-81)."""

SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of a secret of the stack."""

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of an environment variable."""

PlainPath = Annotated[AbsolutePath, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]+$")]
"""A directory that units, shells and lists of paths name: blanks, ``%`` and ``$`` would mean something else there."""

RelativePath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]+$"), AfterValidator(_below)]
"""Path of a file below a directory of ours."""


def ipv4_network(address: str, prefix: int) -> ipaddress.IPv4Network:
    """Return the network that an address with a prefix lies in."""
    return ipaddress.IPv4Network((address, prefix), strict=False)
