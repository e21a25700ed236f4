"""The system below the containers: packages, user, directories, public name, Docker, Go, mDNS, logs."""

from typing import Final

from ..host.args import (
    DirectoryArgs,
    DownloadArgs,
    FileArgs,
    GroupArgs,
    HostStateArgs,
    MergeArgs,
    PackageArgs,
    StepArgs,
    UnitArgs,
    UserArgs,
)
from ..host.args_services import Sections
from .args_base import GoArgs
from .formats import template
from .gateway import Gateway
from .role import Role, refuse_unless, shell

__all__ = ["common", "docker", "go", "log_rotation", "mdns"]

_SAYS: Final = 'found=$(tr -d "[:space:]" < "$1" 2>/dev/null | tr "[:upper:]" "[:lower:]"); [ "${found:-$2}" = "$3" ]'
_HAS_GO: Final = '[ "$(/usr/local/go/bin/go version 2>/dev/null)" = "go version go$1 linux/$2" ]'
_UNPACK_GO: Final = """set -e
rm -rf /usr/local/go.new && mkdir /usr/local/go.new
tar -xzf "$1" -C /usr/local/go.new --strip-components=1
rm -rf /usr/local/go && mv /usr/local/go.new /usr/local/go"""


def common(gateway: Gateway) -> Role:
    """Bring packages, the user and its directories; the plan must have the device's own public name (section 6.4)."""
    user, args = gateway.user, gateway.args
    owned = [gateway.data_dir, gateway.config_dir, gateway.log_dir]
    sources = [gateway.install_dir, f"{gateway.install_dir}/backend", f"{gateway.install_dir}/frontend"]
    domain = refuse_unless(
        shell(_SAYS, gateway.domain_file, args.wan_domain_default, gateway.wan_domain),
        f"{gateway.domain_file} says another public name than {gateway.wan_domain}, with which this was planned",
        "run again: the file wins, and the next plan is made with its name (CM5-171, CM5-207, CM5-249)",
    )
    return Role(
        HostStateArgs(
            packages={name: PackageArgs() for name in sorted(set(args.packages))},
            groups={user: GroupArgs(system=True)},
            users={user: UserArgs(system=True, group=user)},
            directories={path: DirectoryArgs(owner=user) for path in (*owned, *sources)},
            steps={"domain-is-known": domain},
        ),
        after=_mounted(gateway),
    )


def docker(gateway: Gateway) -> Role:
    """Run the container engine; never on the system's disk where the data belongs on another (CM5-114, CM5-148)."""
    args, unit = gateway.args.docker, "docker.service"
    storage = gateway.args.storage
    waits: Sections = {"Unit": {"RequiresMountsFor": gateway.data_dir}}
    drop_ins = {"data-is-mounted": waits} if storage is not None and storage.bind_mounts else {}
    return Role(
        HostStateArgs(
            repositories={"docker": args.repository} if args.repository else {},
            packages={name: PackageArgs() for name in args.packages},
            merges={
                "/etc/docker/daemon.json": MergeArgs(
                    format="json",
                    values={
                        "log-driver": "json-file",
                        "log-opts": {"max-size": args.log_max_size.lower(), "max-file": str(args.log_max_files)},
                    },
                )
            },
            units={
                unit: UnitArgs(
                    enabled=True, running=True, drop_ins=drop_ins, restart_on=("merges:/etc/docker/daemon.json",)
                )
            },
        ),
        after=_mounted(gateway),
    )


def go(args: GoArgs) -> Role:
    """Install the toolchain where it is missing or another version (CM5-106, CM5-107)."""
    archive = f"go{args.version}.linux-{args.architecture}.tar.gz"
    path = f"/var/cache/factory/{archive}"
    return Role(
        HostStateArgs(
            directories={"/var/cache/factory": DirectoryArgs()},
            downloads={path: DownloadArgs(url=f"{args.source}/{archive}", sha256=args.sha256)},
            steps={
                "unpack": StepArgs(run=shell(_UNPACK_GO, path), unless=shell(_HAS_GO, args.version, args.architecture))
            },
        ),
        after=("common",),
    )


def mdns(gateway: Gateway, name: str) -> Role:
    """Announce the gateway's name on the LAN, and nowhere else (CM5-172 to CM5-174)."""
    publisher = f"avahi-publish-{gateway.product}.service"
    unit: Sections = {
        "Unit": {
            "Description": f"mDNS name {name}",
            "Requires": "avahi-daemon.service",
            "After": ("avahi-daemon.service", "network-online.target"),
            "Wants": "network-online.target",
        },
        "Service": {
            "ExecStart": f"/usr/bin/avahi-publish --address --no-reverse {name} {gateway.lan_address}",
            "Restart": "always",
            "RestartSec": "5",
            # A user that the bus can look up on every system; a dynamic one takes a library that may be missing.
            "User": "avahi",
        },
        "Install": {"WantedBy": "multi-user.target"},
    }
    configuration = "/etc/avahi/avahi-daemon.conf"
    return Role(
        HostStateArgs(
            packages={"avahi-daemon": PackageArgs(), "avahi-utils": PackageArgs()},
            merges={
                configuration: MergeArgs(
                    format="ini", values={"server": {"allow-interfaces": gateway.args.lan.interface}}
                )
            },
            units={
                "avahi-daemon.service": UnitArgs(enabled=True, running=True, restart_on=(f"merges:{configuration}",)),
                publisher: UnitArgs(
                    unit=unit, enabled=True, running=True, restart_on=(f"merges:{configuration}",), order=1
                ),
            },
        ),
        after=("common", "network") if gateway.segment else ("common",),
    )


def log_rotation(gateway: Gateway) -> Role:
    """Rotate the logs of what runs outside the containers (CM5-128)."""
    args, path = gateway.args.log_rotation, f"/etc/logrotate.d/{gateway.product}"
    text = template(
        "logrotate",
        directory=gateway.log_dir,
        user=gateway.user,
        frequency=args.frequency,
        keep=args.keep,
        max_size=args.max_size,
    )
    return Role(
        HostStateArgs(
            packages={"logrotate": PackageArgs()},
            files={path: FileArgs(content=text, validate_with=("logrotate", "--debug", "%s"))},
        ),
        after=("compose",),
    )


def _mounted(gateway: Gateway) -> tuple[str, ...]:
    """Name the role that has the data directory in its place (CM5-130)."""
    storage = gateway.args.storage
    return () if storage is None else ("data",) if storage.bind_mounts else ("nvme",)
