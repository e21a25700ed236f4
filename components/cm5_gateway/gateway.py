"""A gateway with all that follows from its arguments and from what was found on the device. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ..host.remote_host import RemoteHost
from .args import CM5GatewayArgs, is_placeholder
from .args_containers import ContainerArgs, FrontendArgs
from .args_network import DeviceSegmentArgs
from .args_values import ipv4_network
from .listeners import Listener, conflicts, listeners

__all__ = ["LAN_ADDRESS", "WAN_DOMAIN", "Facts", "Gateway", "GatewayError"]

LAN_ADDRESS: Final = "lan.address"
WAN_DOMAIN: Final = "wan_domain"
"""The questions whose answers are facts for the plan."""

_LABEL_LENGTH: Final = 16
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")


class GatewayError(ValueError):
    """A gateway that cannot be: every problem, each with what to do."""

    def __init__(self, *problems: str) -> None:
        """Keep the problems one by one too."""
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found on the device before anything is planned. Absent facts are taken from the arguments."""

    lan_address: str | None = None
    """Address of the LAN interface (CM5-102)."""
    lan_prefix: int | None = None
    """Its length."""
    domain: str | None = None
    """Content of the domain file (CM5-171)."""

    @classmethod
    def of(cls, found: Mapping[str, str]) -> "Facts":
        """Read them out of what was found by the questions of :mod:`.preconditions`."""
        address, _, prefix = found.get(LAN_ADDRESS, "").partition("/")
        return cls(address or None, int(prefix) if prefix else None, found.get(WAN_DOMAIN))


@dataclass(frozen=True)
class Gateway:
    """One gateway. Make it with :meth:`of`."""

    args: CM5GatewayArgs
    facts: Facts
    lan_address: str
    """The one address of the LAN side that every consumer uses (CM5-205)."""
    connection: RemoteHost

    @classmethod
    def of(cls, args: CM5GatewayArgs, facts: Facts | None = None) -> "Gateway":
        """Judge arguments together with facts. Raises GatewayError with every problem."""
        found = facts or Facts()
        address = args.lan_address or found.lan_address
        if args.connection is None:
            raise GatewayError("connection is not given: say how the gateway is reached")
        if address is None:
            raise GatewayError("the LAN interface has no address: give lan.address, or look at its cable (CM5-103)")
        gateway = cls(args, found, address, args.connection)
        if problems := gateway._problems():
            raise GatewayError(*problems)
        return gateway

    @property
    def product(self) -> str:
        """Name of the product."""
        return self.args.product

    @property
    def user(self) -> str:
        """System user that owns the data."""
        return self.args.user

    @property
    def segment(self) -> DeviceSegmentArgs | None:
        """The isolated segment; None for the classic profile."""
        return self.args.device_segment

    @property
    def label(self) -> str:
        """Label of the data's file system (CM5-144)."""
        return (self.args.storage and self.args.storage.label) or f"{self.product}-data"[:_LABEL_LENGTH]

    @property
    def data_dir(self) -> str:
        """Application data."""
        return self.args.data_dir

    @property
    def config_dir(self) -> str:
        """Configuration of the containers."""
        return self.args.config_dir or f"{self.data_dir}/config"

    @property
    def install_dir(self) -> str:
        """Sources."""
        return self.args.install_dir or f"/opt/{self.product}"

    @property
    def log_dir(self) -> str:
        """Logs."""
        return f"/var/log/{self.product}"

    @property
    def library(self) -> str:
        """Directory of the gateway's own programs on the device."""
        return f"/usr/local/lib/{self.product}"

    @property
    def compose_file(self) -> str:
        """The containers (CM5-186)."""
        return f"{self.data_dir}/docker-compose.yml"

    @property
    def domain_file(self) -> str:
        """File whose content is the public name (CM5-53)."""
        return self.args.domain_file or f"/home/{self.user}/domain.txt"

    @property
    def wan_domain(self) -> str:
        """The public name: what the file on the device says, else the default (CM5-62, CM5-171, CM5-207)."""
        return (self.facts.domain or "").strip().lower() or self.args.wan_domain_default

    @property
    def mdns_name(self) -> str | None:
        """The name on the LAN."""
        return self.args.mdns.name if self.args.mdns else None

    @property
    def gateway_id(self) -> str:
        """Identity on the hub (CM5-75)."""
        given = self.args.cloud.gateway_id if self.args.cloud else None
        return given or f"gw-{self.args.lan.mac.replace(':', '')}"

    @property
    def web_address(self) -> str:
        """Where nginx serves, for the devices and for Traefik (CM5-88, CM5-99)."""
        return self.segment.address if self.segment else "127.0.0.1"

    @cached_property
    def containers(self) -> Mapping[str, ContainerArgs]:
        """The containers of the stack, with the version in their images and the cloud block in its file."""
        return {name: self._resolved(name, each) for name, each in sorted(self.args.containers.items())}

    @cached_property
    def frontend(self) -> FrontendArgs | None:
        """The static files, with the version in their image."""
        given = self.args.frontend
        return given and given.model_copy(update={"image": self.image(given.image)})

    @cached_property
    def listeners(self) -> tuple[Listener, ...]:
        """Everything that waits for connections (section 4)."""
        return listeners(self.args, self.lan_address)

    @property
    def versions(self) -> dict[str, str]:
        """Images by container, and the product's version (CM5-271)."""
        args = self.args
        edge = {"nginx": args.nginx.image, "traefik": args.traefik.image}
        edge |= {"adguard": args.adguard.image} if args.adguard else {}
        edge |= {"frontend": args.frontend.image} if args.frontend else {}
        images = {name: self.image(image) for name, image in edge.items()}
        images |= {name: each.image for name, each in self.containers.items()}
        return {"version": args.version, **dict(sorted(images.items()))}

    def image(self, image: str) -> str:
        """Put the product's version into an image."""
        return image.replace("{version}", self.args.version)

    def _resolved(self, name: str, container: ContainerArgs) -> ContainerArgs:
        files = dict(container.files)
        cloud = self.args.cloud
        if cloud is not None and cloud.container == name:
            file = files[cloud.file]
            content = {**file.content, "cloud": self._cloud_block()} if isinstance(file.content, dict) else file.content
            secrets = {**file.secrets, **({"cloud.gateway_token": cloud.token} if cloud.enabled else {})}
            files[cloud.file] = file.model_copy(update={"content": content, "secrets": secrets})
        return container.model_copy(update={"image": self.image(container.image), "files": files})

    def _cloud_block(self) -> dict[str, str | int | bool]:
        """Write the block without its token (CM5-64 to CM5-74)."""
        cloud = self.args.cloud
        if cloud is None:
            return {}
        if not cloud.enabled:
            return {"enabled": False}
        block: dict[str, str | int | bool] = {
            "enabled": True,
            "hub_url": cloud.hub_url,
            "gateway_id": self.gateway_id,
            "poll_interval_seconds": cloud.poll_interval_seconds,
            "client_id": cloud.client_id,
            "machine_id": cloud.machine_id,
            "eth0_mac": self.args.lan.mac,
            "scheduled_sync_enabled": cloud.scheduled_sync_enabled,
            "scenarios_sync_enabled": cloud.scenarios_sync_enabled,
        }
        if self.segment is not None:
            block["eth1_mac"] = self.segment.mac
        return block

    def _problems(self) -> list[str]:
        wrong = [
            f"{one.name} and {other.name} both claim {one.where}: give one of them another port (CM5-98)"
            for one, other in conflicts(self.listeners)
        ]
        found = self.facts.lan_address
        if found is not None and found != self.lan_address:
            wrong.append(
                f"the LAN interface has {found} and the arguments say {self.lan_address}: correct lan.address (CM5-206)"
            )
        prefix = self.facts.lan_prefix
        if self.segment is not None and prefix is not None:
            lan = ipv4_network(self.lan_address, prefix)
            if lan.overlaps(self.segment.network):
                wrong.append(f"the LAN {lan} and the segment {self.segment.network} overlap: move the segment (CM5-80)")
        if not _DOMAIN.fullmatch(self.wan_domain):
            wrong.append(f"{self.domain_file} says {self.wan_domain!r}, which is no domain name: correct the file")
        acme = self.args.traefik.acme
        if acme is not None and not acme.use_staging and is_placeholder(self.wan_domain):
            wrong.append(f"{self.domain_file} says {self.wan_domain}, a placeholder: correct the file (CM5-83)")
        if self.mdns_name == self.wan_domain:
            wrong.append(f"{self.domain_file} says {self.wan_domain}, which is the name of mdns: correct the file")
        return wrong
