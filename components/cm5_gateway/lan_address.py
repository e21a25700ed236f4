"""Says which address an interface has, and whether it is the right one. Runs on the device, given with `python3 -c`.

Arguments: interface, the address it must have, and a network that its own must not overlap (or an empty text). Standard
library only, Python 3.9 or newer. Prints the address with its length, or what is wrong.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys

__all__ = ["AddressError", "judged"]


class AddressError(Exception):
    """The interface does not have what it must have."""


def judged(shown: str, interface: str, address: str, other: str) -> str:
    """Return the right one among the addresses that `ip` has shown. Raises AddressError."""
    found = [
        ipaddress.ip_interface(f"{each['local']}/{each['prefixlen']}")
        for link in json.loads(shown)
        for each in link.get("addr_info", ())
        if each.get("scope") == "global"
    ]
    if not found:
        raise AddressError(f"{interface} has no address")
    right = [each for each in found if str(each.ip) == address]
    if not right:
        raise AddressError(f"{interface} has {', '.join(str(each.ip) for each in found)} and not {address}")
    if other and right[0].network.overlaps(ipaddress.ip_network(other)):
        raise AddressError(f"the networks {right[0].network} and {other} overlap")
    return str(right[0])


if __name__ == "__main__":
    command = ("ip", "-json", "-4", "address", "show", "dev", sys.argv[1])
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        sys.exit(f"there is no interface {sys.argv[1]}")
    try:
        sys.stdout.write(judged(asked.stdout, *sys.argv[1:]) + "\n")
    except AddressError as error:
        sys.exit(str(error))
