"""What must hold on the device before anything is planned (CM5-27, CM5-254, CM5-263), as questions. Pure.

The same conditions stand in the roles, as steps that stop a run: between a plan and its run a disk can be exchanged.
"""

from collections.abc import Iterator
from typing import Final

from ..host.checks import HostCheck
from .args_storage import StorageArgs
from .formats import script
from .gateway import LAN_ADDRESS, WAN_DOMAIN, Gateway
from .render import roles
from .role import shell

__all__ = ["preconditions"]

_IN_ROLES: Final = {
    "network": ("no-other-network-file", "no-ifupdown"),
    "dhcp": ("port-53-is-free",),
    "data": ("data-hides-nothing", "log-hides-nothing"),
}
"""Steps whose condition does not wait for another role."""
_NAME: Final = 'cat "/sys/class/net/$1/address" && [ "$(cat "/sys/class/net/$1/address")" = "$2" ]'
_SAID: Final = 'cat "$1" 2>/dev/null || true'


def preconditions(gateway: Gateway) -> dict[str, HostCheck]:
    """List the questions: hardware addresses, the LAN address, the disk, the public name, what would be in the way.

    Each prints a fact that stays the same from run to run, or nothing.
    """
    return {**dict(_facts(gateway)), **dict(_conditions(gateway))}


def _facts(gateway: Gateway) -> Iterator[tuple[str, HostCheck]]:
    args, segment = gateway.args, gateway.segment
    sides = [("lan", args.lan.interface, args.lan.mac)]
    sides += [("device_segment", segment.interface, segment.mac)] if segment else []
    for field, interface, mac in sides:
        yield (
            f"{field}.mac",
            HostCheck(
                command=shell(_NAME, interface, mac),
                likely_cause=f"{interface} does not have the hardware address {mac}: read `ip link` on the device and "
                f"correct {field}.mac or {field}.interface (CM5-76, CM5-243)",
            ),
        )
    yield (
        LAN_ADDRESS,
        HostCheck(
            command=(
                *("python3", "-c", script("lan_address.py"), args.lan.interface, gateway.lan_address),
                str(segment.network) if segment else "",
            ),
            likely_cause="look at the cable, reserve the address in the LAN's DHCP, or correct lan.address; every "
            "server follows (CM5-103, CM5-206). Where the networks overlap, move the segment (CM5-80)",
        ),
    )
    # No condition: what the file says is the public name, and the plan is made with it.
    yield WAN_DOMAIN, HostCheck(command=shell(_SAID, gateway.domain_file))
    if args.storage is not None:
        yield "storage.device", _disk(gateway, args.storage)


def _disk(gateway: Gateway, storage: StorageArgs) -> HostCheck:
    """Ask whether the disk would be refused: nothing is written (CM5-147, CM5-263)."""
    erasable = storage.erase_serial or ""
    return HostCheck(
        command=(
            *("python3", "-c", script("nvme_disk.py"), storage.device, storage.partition, gateway.label, erasable),
            "judge",
        ),
        timeout=20,
        likely_cause=f"{storage.device} cannot be used: enable PCIe (EEPROM or config.txt), look with `lsblk`, correct "
        "storage.device, or give a disk that holds nothing (CM5-22, CM5-147, CM5-244)",
    )


def _conditions(gateway: Gateway) -> Iterator[tuple[str, HostCheck]]:
    planned = roles(gateway)
    for role, steps in _IN_ROLES.items():
        for name in steps if role in planned else ():
            step = planned[role].desired.steps[name]
            yield f"{role}.{name}", HostCheck(command=step.unless, likely_cause=step.run[-1])
