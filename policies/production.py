"""Finding production in text: addresses, networks, ranges and host names, wherever they stand in a string.

Names are the same in both environments by design (SBX-02), so a name is compared together with the
addresses it was resolved to (CPL-30): what resolves to production is production under any name, and a
production name is harmless only when it is known to lead to sandbox machines alone.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network, summarize_address_range
from urllib.parse import unquote

from policies.facts import Facts, Network, host_name

_OCTETS = r"\d{1,3}(?:\.\d{1,3}){3}"
# An address with an optional length (a network) or an optional end (a range, as load balancers take them).
_IPV4 = re.compile(
    rf"(?<!\d)(?<!\d\.)({_OCTETS})(?:/(\d{{1,2}})(?!\d)|\s?-\s?({_OCTETS}|\d{{1,3}})(?![\d.]))?(?!\d)(?!\.\d)"
)
# The form in which wildcard DNS services carry an address: 10-0-0-1.example.
_DASHED_IPV4 = re.compile(r"(?<![\w-])\d{1,3}(?:-\d{1,3}){3}(?![\w-])")
_IPV6 = re.compile(r"(?<![\w:.])([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)(?:/(\d{1,3}))?")
_NAME = re.compile(r"\w(?:[\w.-]*\w)?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{12,}={0,2}")
_ESCAPE = re.compile(r"\\[nrt]")

_NAT64 = IPv6Network("64:ff9b::/96")
_LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1"))


def find_production(text: str, facts: Facts) -> list[str]:
    """Return one phrase for each mark of production in `text`; it tells the mark, never the rest of the text."""
    phrases: dict[str, None] = {}
    for reading in _readings(text):
        phrases |= dict.fromkeys(_addresses(reading, facts))
        phrases |= dict.fromkeys(_hosts(reading, facts))
    return list(phrases)


def _readings(text: str) -> Iterator[str]:
    """Yield the text and what it decodes to, one level deep: URL and JSON escapes, base64 as Secrets carry it."""
    yield text
    if "%" in text:
        yield unquote(text)
    if "\\" in text:
        yield _ESCAPE.sub(" ", text)
    packed = "".join(text.split())
    if len(packed) % 4 == 0 and _BASE64.fullmatch(packed):
        try:
            yield base64.b64decode(packed).decode()
        except (binascii.Error, UnicodeDecodeError):
            return


def _addresses(text: str, facts: Facts) -> Iterator[str]:
    for written, networks in _networks(text):
        mark = next(filter(None, (_production_in(network, facts) for network in networks)), None)
        if mark is not None:
            one = len(networks) == 1 and networks[0].num_addresses == 1
            yield f"the production address {mark}" if one else f"{written}, which holds the production address {mark}"


def _networks(text: str) -> Iterator[tuple[str, list[Network]]]:
    """Yield each address, network or range written in the text, as written and as networks."""
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


def _production_in(network: Network, facts: Facts) -> str | None:
    """Return the production address (or network) that lies in `network`; of a single address, the address itself."""
    if network.prefixlen == 0:
        return None  # the default route holds every address and points at none of them
    for mark in facts.fingerprints.ips:
        if mark.overlaps(network):
            return _show(network if network.num_addresses == 1 else mark)
    return None


def _hosts(text: str, facts: Facts) -> Iterator[str]:
    for match in _NAME.finditer(text):
        name = host_name(match.group())
        addresses = facts.resolved.get(name, ())
        mark = next(filter(None, (_production_in(address, facts) for address in addresses)), None)
        if mark is not None:
            yield f"the host {name}, which resolves to the production address {mark}"
        elif _is_production_name(name, facts) and not _leads_to_sandbox(addresses, facts):
            yield f"the production host {name}"


def _is_production_name(name: str, facts: Facts) -> bool:
    labels = name.split(".")
    names = (name, *(f"*.{'.'.join(labels[i:])}" for i in range(1, len(labels))))
    return not facts.fingerprints.hosts.isdisjoint(names)


def _leads_to_sandbox(addresses: tuple[Network, ...], facts: Facts) -> bool:
    homes = (*_LOOPBACK, *facts.sandbox_networks)
    return bool(addresses) and all(any(address.network_address in home for home in homes) for address in addresses)


def _show(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)
