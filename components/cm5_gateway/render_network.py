"""Both networks: addresses by systemd-networkd, isolation by nftables, and the segment's DHCP and DNS."""

from collections.abc import Iterable, Mapping
from typing import Final

from ..host.args import ConfirmArgs, FileArgs, HostStateArgs, LinkArgs, PackageArgs, StepArgs, UnitArgs
from ..host.args_services import Sections, Stage
from .args_containers import Place
from .args_network import DeviceSegmentArgs
from .formats import template
from .gateway import Gateway
from .role import Role, refuse_unless, shell

__all__ = ["dhcp", "firewall", "network"]

_NETWORKD: Final = "/etc/systemd/network"
_IFUPDOWN: Final = "/etc/network"
_OTHER_MANAGERS: Final = ("NetworkManager.service", "dhcpcd.service")
_HAS_MAC: Final = '[ "$(cat "/sys/class/net/$1/address" 2>/dev/null)" = "$2" ]'
_HAS_ADDRESS: Final = 'ip -4 -o address show dev "$1" | grep -Fq " inet $2/"'
_STOP: Final = 'systemctl stop "$1" && ip -4 address flush dev "$2" scope global'
_NO_OTHER_FILE: Final = """for file in /etc/systemd/network/*.network /run/systemd/network/*.network; do
  case $file in "$1"|"$2"|*'*'*) ;; *) grep -iqE "$3" "$file" && exit 1 ;; esac
done; exit 0"""
_NO_IFUPDOWN: Final = (
    'command -v ifup >/dev/null || exit 0; ! grep -rhsE "^[[:space:]]*(iface|auto|allow-[a-z]+)[[:space:]]" '
    '"$1/interfaces" "$1/interfaces.d" | grep -qE "[[:space:]]($2|$3)([[:space:]]|$)"'
)


def network(gateway: Gateway, segment: DeviceSegmentArgs) -> Role:
    """Give each interface its address by its hardware address (CM5-151 to CM5-157, CM5-198).

    The whole change is taken back by the device unless it is reached again afterwards (CM5-142).
    """
    lan = gateway.args.lan
    files = {
        f"{_NETWORKD}/10-{lan.interface}.network": _networkd(
            {"Match": {"MACAddress": lan.mac}},
            {
                "Network": {"DHCP": "ipv4", "LinkLocalAddressing": "ipv6"},
                # Known to the LAN's DHCP by the hardware address, as to most managers before: the address stays.
                # Its DNS servers are not taken over: the LAN's may be this gateway, which answers with its own address.
                "DHCPv4": {"ClientIdentifier": "mac", "UseDNS": "no"},
            },
        ),
        f"{_NETWORKD}/20-{segment.interface}.network": _networkd(
            {"Match": {"MACAddress": segment.mac}},
            {
                "Network": {
                    "Address": f"{segment.address}/{segment.prefix}",
                    # Servers bind to the address, also while no device is connected.
                    "ConfigureWithoutCarrier": "yes",
                    "DHCP": "no",
                    "IPv6AcceptRA": "no",
                    "LinkLocalAddressing": "no",
                },
                "Link": {"RequiredForOnline": "no"},
            },
        ),
        "/etc/resolv.conf": FileArgs(content="".join(f"nameserver {each}\n" for each in lan.resolvers)),
    }
    masks = {f"/etc/systemd/system/{unit}": LinkArgs(target="/dev/null") for unit in _OTHER_MANAGERS}
    networkd = "systemd-networkd.service"
    items = [f"files:{path}" for path in files] + [f"links:{path}" for path in masks] + [f"units:{networkd}"]
    return Role(
        HostStateArgs(
            files=files,
            links=masks,
            units={
                networkd: UnitArgs(
                    enabled=True,
                    running=True,
                    # A manager that somebody has started again goes, and takes the address along that is this one's.
                    restart_on=(
                        *(f"files:{path}" for path in files if path.endswith(".network")),
                        *(f"steps:{_stop(unit)}" for unit in _OTHER_MANAGERS),
                    ),
                ),
                # Nothing on the machine waits for the segment's cable.
                "systemd-networkd-wait-online.service": UnitArgs(
                    drop_ins={
                        "lan-only": {
                            "Service": {
                                "ExecStart": (
                                    "",
                                    f"/usr/lib/systemd/systemd-networkd-wait-online --interface={lan.interface}",
                                )
                            }
                        }
                    }
                ),
            },
            # Before systemd-networkd starts: an ending manager may take its address along. By one that it leaves, and
            # systemd-networkd does not always notice, the gateway would be reached until its next restart.
            steps=_preconditions(gateway, segment)
            | {
                _stop(unit): StepArgs(
                    run=shell(_STOP, unit, lan.interface),
                    only_if=("systemctl", "is-active", "--quiet", unit),
                )
                for unit in _OTHER_MANAGERS
            },
            confirm=ConfirmArgs(
                items=tuple(items),
                timeout=gateway.args.confirm_seconds,
                undo=tuple(
                    shell('systemctl daemon-reload; systemctl is-enabled -q "$1" && systemctl start "$1"; true', unit)
                    for unit in _OTHER_MANAGERS
                ),
            ),
        )
    )


def _stop(unit: str) -> str:
    return f"stop-{unit.removesuffix('.service')}"


def _preconditions(gateway: Gateway, segment: DeviceSegmentArgs) -> dict[str, StepArgs]:
    """Refuse what would cut the device off, before anything is changed (CM5-206, CM5-243, CM5-245, CM5-252)."""
    lan = gateway.args.lan
    steps = {
        f"{side}-has-its-mac": refuse_unless(
            shell(_HAS_MAC, interface, mac),
            f"{interface} does not have the hardware address {mac}",
            f"read `ip link` on the device and correct {field}.mac or {field}.interface (CM5-243)",
        )
        for side, field, interface, mac in (
            ("lan", "lan", lan.interface, lan.mac),
            ("segment", "device_segment", segment.interface, segment.mac),
        )
    }
    steps["lan-has-its-address"] = refuse_unless(
        shell(_HAS_ADDRESS, lan.interface, gateway.lan_address),
        f"{lan.interface} does not have the address {gateway.lan_address}",
        "the LAN's DHCP gave another one: reserve it there, or correct lan.address; every server follows (CM5-206)",
    )
    own = (f"{_NETWORKD}/10-{lan.interface}.network", f"{_NETWORKD}/20-{segment.interface}.network")
    pattern = f"^(MACAddress|Name)=.*({lan.mac}|{segment.mac}|{lan.interface}|{segment.interface})"
    steps["no-other-network-file"] = refuse_unless(
        shell(_NO_OTHER_FILE, *own, pattern),
        f"another file in {_NETWORKD} describes one of the interfaces",
        "remove it: exactly one file may match each interface (CM5-156)",
    )
    steps["no-ifupdown"] = refuse_unless(
        shell(_NO_IFUPDOWN, _IFUPDOWN, lan.interface, segment.interface),
        f"ifupdown manages one of the interfaces too, by a line in {_IFUPDOWN}/interfaces or interfaces.d",
        "remove that line, and do not restart the device before `up` has ended: systemd-networkd takes over (CM5-157)",
    )
    return steps


def firewall(gateway: Gateway) -> Role:
    """Isolate the segment, and close what no client needs (CM5-155, CM5-202, CM5-209, CM5-215)."""
    path, unit = f"/etc/{gateway.product}/firewall.nft", f"{gateway.product}-firewall.service"
    table = f"{gateway.product}_gateway"
    text = template(
        "firewall.nft",
        table=table,
        segment=gateway.segment,
        open=_ports(
            (each.protocol, each.port)
            for each in gateway.listeners
            if Place.SEGMENT in each.open_to and (each.protocol, each.port) != ("udp", 67)
        ),
        # What the segment may reach was accepted before.
        closed=_ports(
            (each.protocol, each.port)
            for each in gateway.listeners
            if each.address == "all" and Place.LAN not in each.open_to
        ),
    )
    load = f"/usr/sbin/nft --file {path}"
    service: Sections = {
        "Unit": {
            "Description": "Firewall of the gateway",
            "Before": ("network-pre.target", "docker.service"),
            "Wants": "network-pre.target",
            "DefaultDependencies": "no",
            "Conflicts": "shutdown.target",
            "After": "local-fs.target",
        },
        "Service": {
            "Type": "oneshot",
            "RemainAfterExit": "yes",
            "ExecStart": load,
            "ExecReload": load,
            "ExecStop": f"/usr/sbin/nft delete table inet {table}",
        },
        "Install": {"WantedBy": "sysinit.target"},
    }
    return Role(
        HostStateArgs(
            packages={"nftables": PackageArgs()},
            files={path: FileArgs(content=text, validate_with=("/usr/sbin/nft", "--check", "--file", "%s"))},
            units={unit: UnitArgs(unit=service, enabled=True, running=True, reload_on=(f"files:{path}",))},
            # Somebody else's `flush ruleset` takes the table away and leaves the service as it is.
            steps={
                "loaded": StepArgs(
                    run=("systemctl", "reload", unit),
                    unless=("/usr/sbin/nft", "list", "table", "inet", table),
                    stage=Stage.FINISH,
                )
            },
            confirm=ConfirmArgs(
                items=(f"files:{path}", f"units:{unit}"),
                timeout=gateway.args.confirm_seconds,
                undo=(shell('[ -e "$1" ] && nft --file "$1" || nft delete table inet "$2"', path, table),),
            ),
        ),
        after=("network",) if gateway.segment else (),
    )


def _ports(found: Iterable[tuple[str, int]]) -> list[tuple[str, list[int]]]:
    """Group ports by protocol."""
    by_protocol: dict[str, set[int]] = {}
    for protocol, port in found:
        by_protocol.setdefault(protocol, set()).add(port)
    return [(protocol, sorted(ports)) for protocol, ports in sorted(by_protocol.items())]


def dhcp(segment: DeviceSegmentArgs, product: str) -> Role:
    """Give addresses and names to the devices, and to nobody else (CM5-158 to CM5-168)."""
    path = f"/etc/dnsmasq.d/{product}.conf"
    text = template("dnsmasq.conf", netmask=str(segment.network.netmask), **_values(segment))
    return Role(
        HostStateArgs(
            packages={"dnsmasq": PackageArgs()},
            files={path: FileArgs(content=text, validate_with=("dnsmasq", "--test", "--conf-file=%s"))},
            units={
                "dnsmasq.service": UnitArgs(
                    enabled=True,
                    running=True,
                    restart_on=(f"files:{path}",),
                    drop_ins={
                        "segment": {
                            "Unit": {"After": "systemd-networkd.service", "Wants": "systemd-networkd.service"},
                            "Service": {"Restart": "on-failure", "RestartSec": "5"},
                        }
                    },
                )
            },
            steps={
                "port-53-is-free": refuse_unless(
                    shell(
                        '! ss -Hlntup "sport = :53" | grep -F -e " $1:53 " -e " 0.0.0.0:53 " -e " *:53 " '
                        "| grep -qv dnsmasq",
                        segment.address,
                    ),
                    f"another DNS server has port 53 of {segment.address}",
                    "find it with `ss -tlnup sport = :53` and bind it to its own side (CM5-250)",
                )
            },
        ),
        after=("network",),
    )


def _values(segment: DeviceSegmentArgs) -> Mapping[str, object]:
    return {name: getattr(segment, name) for name in type(segment).model_fields}


def _networkd(*parts: Sections) -> FileArgs:
    """Write a file of systemd-networkd."""
    sections: Sections = {}
    for part in parts:
        sections |= part
    text = "\n".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in values.items())
        for name, values in sections.items()
    )
    return FileArgs(content=text)
