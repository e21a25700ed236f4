"""Addresses as people write them into text: single ones, networks, ranges, and the forms that carry one inside."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, summarize_address_range

__all__ = ["Network", "written_networks"]

Network = IPv4Network | IPv6Network

_OCTETS = r"\d{1,3}(?:\.\d{1,3}){3}"
# An address with an optional length (a network) or an optional end (a range, as load balancers take them).
_IPV4 = re.compile(
    rf"(?<!\d)(?<!\d\.)({_OCTETS})(?:/(\d{{1,2}})(?!\d)|\s?-\s?({_OCTETS}|\d{{1,3}})(?![\d.]))?(?!\d)(?!\.\d)"
)
# The form in which wildcard DNS services carry an address: 10-0-0-1.example.
_DASHED_IPV4 = re.compile(r"(?<![\w-])\d{1,3}(?:-\d{1,3}){3}(?![\w-])")
_IPV6 = re.compile(r"(?<![\w:.])([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)(?:/(\d{1,3}))?")

_NAT64 = IPv6Network("64:ff9b::/96")


def written_networks(text: str) -> Iterator[tuple[str, list[Network]]]:
    """Yield each address, network or range written in the text, as written and as networks.

    An IPv6 address that stands for an IPv4 one (mapped, 6to4, NAT64) is given as that one.
    """
    for match in _IPV4.finditer(text):
        first, length, last = match.groups()
        networks = _ipv4(first, length, last)
        if networks:
            yield match.group(), networks
    for match in _DASHED_IPV4.finditer(text):
        networks = _ipv4(match.group().replace("-", "."))
        if networks:
            yield match.group(), networks
    for match in _IPV6.finditer(text):
        address, length = match.groups()
        try:
            yield match.group(), [_unmapped(IPv6Network(f"{address.rstrip('.')}/{length or 128}", strict=False))]
        except ValueError:
            continue


def _ipv4(first: str, length: str | None = None, last: str | None = None) -> list[Network]:
    try:
        if last is None:
            return [IPv4Network(f"{first}/{length or 32}", strict=False)]
        end = last if "." in last else f"{first.rpartition('.')[0]}.{last}"
        return list(summarize_address_range(IPv4Address(first), IPv4Address(end)))
    except ValueError:
        # No range after all (or no address): what is left are the addresses themselves.
        return [] if last is None else [*_ipv4(first), *(_ipv4(last) if "." in last else ())]


def _unmapped(network: IPv6Network) -> Network:
    """Return the IPv4 address that a single IPv6 address stands for, if it does (mapped, 6to4, NAT64)."""
    address = network.network_address
    if network.num_addresses > 1:
        return network
    inner = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.ipv4_mapped or address.sixtofour
    return network if inner is None else IPv4Network(inner)
