"""Finding production in text: addresses, networks, ranges and host names, wherever they stand in a string.

Names are the same in both environments by design (SBX-02), so a name is compared together with the
addresses it was resolved to (CPL-30): what resolves to production is production under any name, and a
production name is harmless only when it is known to lead to sandbox machines alone.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from ipaddress import ip_network
from urllib.parse import unquote

from components.written_addresses import Network, written_networks
from policies.facts import Facts, host_name

_NAME = re.compile(r"\w(?:[\w.-]*\w)?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{12,}={0,2}")
_ESCAPE = re.compile(r"\\[nrt]")

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
    for written, networks in written_networks(text):
        mark = next(filter(None, (_production_in(network, facts) for network in networks)), None)
        if mark is not None:
            one = len(networks) == 1 and networks[0].num_addresses == 1
            yield f"the production address {mark}" if one else f"{written}, which holds the production address {mark}"


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
