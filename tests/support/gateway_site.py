"""A place for a gateway: a house's network with its router, a segment of devices, a disk, and the machine between them.

The networks and what the machine has written belong to processes of this test, so they survive a power cut of the
machine and end with the test.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from sandbox.service import launched
from tests.support.block_device import Disk
from tests.support.machine_image import SHELF
from tests.support.machines import Keys, Machine, ip, unused_network
from toolchain.debian_packages import program

LAN_MAC, SEGMENT_MAC, DEVICE_MAC = (f"02:00:5e:00:53:{number}" for number in ("01", "02", "10"))
"""Hardware addresses of the gateway's two sides and of a device in the segment."""
_SECONDS = 30
_PREFIX = 28

# The house's network is a bridge; whoever starts this has the other end of `way`.
_HOUSE = """\
set -eu
work=$1 router=$2 way=$3 parent=$4
mount -t tmpfs -o mode=755 machine "$work"
ip link set lo up
ip link add lan type bridge
ip address add "$router" dev lan
ip link add way type veth peer name "$way" netns "$parent"
ip link set way master lan
for link in lan way; do ip link set "$link" up; done
echo ready
exec sleep infinity
"""
_SEGMENT = "ip link set lo up && echo ready && exec sleep infinity"
# How the bare system has its LAN address: by a daemon that a gateway switches off, and that takes the address along.
_FIRST_MANAGER = """\
[Unit]
Description=The LAN's address as the image brings it

[Service]
ExecStart=/usr/local/sbin/first-manager {address}

[Install]
WantedBy=multi-user.target
"""
_FIRST_MANAGER_PROGRAM = """\
#!/bin/sh
trap 'ip address flush dev eth0 scope global; exit 0' TERM
ip link set eth0 up
ip address replace "$1" dev eth0
while :; do sleep infinity & wait $!; done
"""
# What udev has systemd do with the disks of fstab, which a container leaves alone.
_DISKS = """\
[Unit]
Description=The disks of fstab
DefaultDependencies=no
Before=local-fs.target opt-data.mount var-log-cabin.mount

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-mount --all --types ext4

[Install]
WantedBy=local-fs.target
"""


@dataclass
class Site:
    """The networks around a gateway. Use :func:`gateway_site`."""

    network: IPv4Network
    house: subprocess.Popen[str]
    segment: subprocess.Popen[str]
    folder: Path
    _router: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def router(self) -> str:
        """The house's router."""
        return str(self.network[1])

    @property
    def address(self) -> str:
        """The gateway in the house's network."""
        return str(self.network[2])

    def start_router(self) -> None:
        """Have the router give the gateway its address."""
        options = {
            "conf-file": os.devnull,
            "user": "root",
            "pid-file": "",
            "port": "0",
            "interface": "lan",
            "dhcp-leasefile": str(self.folder / "leases"),
            "dhcp-range": f"{self.address},{self.address},1h",
            "dhcp-host": f"{LAN_MAC},{self.address}",
            "dhcp-option": f"option:router,{self.router}",
        }
        command = [str(program("dnsmasq")), "--keep-in-foreground", "--bind-interfaces", "--no-ping"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with (self.folder / "router.log").open("ab") as log:
            self._router = subprocess.Popen(
                launched(tuple(_entered(self.house, *command)), unprivileged=False), stdout=log, stderr=log
            )

    def stop_router(self) -> None:
        """Have it answer no more."""
        if self._router is not None:
            self._router.kill()
            self._router.wait()
            self._router = None

    def in_house(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine as a client of the house's network."""
        return _run(_entered(self.house, *command), check=check)

    def in_segment(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine as a device of the segment; its interface is `field`."""
        return _run(_entered(self.segment, *command), check=check)

    def forget(self) -> None:
        """Throw away what the machine has written."""
        work = self.folder / "work"
        _run(
            _entered(self.house, "rm", "-rf", *(str(work / name) for name in ("upper", "scratch")), namespace="mount"),
            check=True,
        )


@dataclass
class GatewayMachine(Machine):
    """A machine with `eth0` in the house and `eth1` in the segment. What it has written survives a power cut."""

    site: Site = field(kw_only=True)
    disk: Disk = field(kw_only=True)

    @property
    def address(self) -> str:
        """Where it is reached: on the LAN."""
        return self.site.address

    def start(self) -> None:
        """Boot, with the disk."""
        super().start()
        self.disk.plug(self.path("/dev"))

    def stop(self) -> None:
        """Cut the power."""
        self.disk.unplug()
        super().stop()

    def reset(self) -> None:
        """Boot the image anew, with an empty disk and the router at work."""
        self.stop()
        self.site.forget()
        self.disk.clear()
        self.site.stop_router()
        self.site.start_router()
        self.start()

    def power_cut(self) -> None:
        """Stop it in the middle of everything, and start it with what it had written."""
        self.stop()
        self.start()

    def _options(self) -> list[str]:
        # Its resolver is a file like others: systemd-nspawn would write it anew at each start.
        return ["--resolv-conf=off", *(f"--bind={device}" for device in self.disk.read_table())]

    def _place(self) -> list[str]:
        return _entered(self.site.house, namespace="mount")

    def _wires(self) -> str:
        ends = (("eth0", LAN_MAC, self.site.house), ("eth1", SEGMENT_MAC, self.site.segment))
        return "\n".join(
            f"ip link add {name} address {mac} type veth peer name {name} netns {other.pid}"
            for name, mac, other in ends
        )

    def _connected(self) -> bool:
        done = self.site.in_house("ip", "link", "set", "eth0", "master", "lan", "up", check=False)
        if done.returncode:
            return False
        done = self.site.in_segment(
            "ip", "link", "set", "eth1", "name", "field", "address", DEVICE_MAC, "up", check=False
        )
        return done.returncode == 0

    def _disconnect(self) -> None:
        self.site.in_house("ip", "link", "delete", "eth0", check=False)
        self.site.in_segment("ip", "link", "delete", "field", check=False)


@contextmanager
def gateway_site(name: str, *, seeds: Sequence[Path] = ()) -> Iterator[GatewayMachine]:
    """Run the machine in its place; it is bare, and has an empty disk."""
    with tempfile.TemporaryDirectory(prefix="factory-gateway-") as place:
        folder, network = Path(place), unused_network(_PREFIX)
        for directory in ("work", "keys"):
            (folder / directory).mkdir()
        seed = _seed(folder / "seed", f"{network[2]}/{_PREFIX}")
        link = f"gw{network.network_address.packed.hex()[2:]}"
        house = [str(folder / "work"), f"{network[1]}/{_PREFIX}", link, str(os.getpid())]
        with (
            _namespaces("--net", "--mount", "--propagation=private", "sh", "-c", _HOUSE, "sh", *house) as lan,
            _namespaces("--net", "sh", "-c", _SEGMENT) as segment,
            Disk.made(folder / "disk") as disk,
        ):
            ip("address", "add", f"{network[3]}/{_PREFIX}", "dev", link)
            ip("link", "set", link, "up")
            site = Site(network, lan, segment, folder)
            keys = Keys.make(folder / "keys")
            machine = GatewayMachine(f"{name}-{os.getpid()}", folder, keys, seeds=[seed, *seeds], site=site, disk=disk)
            try:
                site.start_router()
                machine.start()
                yield machine
            finally:
                machine.stop()
                site.stop_router()
                ip("link", "delete", link, check=False)


def _seed(folder: Path, address: str) -> Path:
    """Write what the bare system has: a source of packages, and a manager of its own for the LAN's address."""
    sources, units = folder / "etc/apt/sources.list.d", folder / "usr/lib/systemd/system"
    wanted = folder / "etc/systemd/system/multi-user.target.wants"
    early = folder / "etc/systemd/system/local-fs.target.wants"
    programs = folder / "usr/local/sbin"
    for directory in (sources, units, wanted, early, programs):
        directory.mkdir(parents=True)
    (units / "disks.service").write_text(_DISKS)
    (early / "disks.service").symlink_to("/lib/systemd/system/disks.service")
    (sources / "debian.list").write_text(f"deb [trusted=yes] file:{SHELF} ./\n")
    (units / "dhcpcd.service").write_text(_FIRST_MANAGER.format(address=address))
    (programs / "first-manager").write_text(_FIRST_MANAGER_PROGRAM)
    (programs / "first-manager").chmod(0o755)
    (wanted / "dhcpcd.service").symlink_to("/lib/systemd/system/dhcpcd.service")
    return folder


@contextmanager
def _namespaces(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Keep namespaces while this runs."""
    command = launched((str(program("unshare")), *arguments), unprivileged=False, death_signal=signal.SIGKILL)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the networks around the gateway were not made")
            yield process
        finally:
            process.kill()


def _entered(process: subprocess.Popen[str], *command: str, namespace: str = "net") -> list[str]:
    return [str(program("nsenter")), f"--target={process.pid}", f"--{namespace}", "--", *command]


def _run(command: Sequence[str], *, check: bool) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
