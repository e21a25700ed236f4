"""The arguments of a home-automation gateway. Plain values only; its secrets are a keyword argument of the component.

What the described system calls its variables, and where they are here, stands in ``docs/cm5-gateway.md``.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from ..host.args_values import ItemName, SystemName
from ..host.checks import HostCheck
from ..host.remote_host import RemoteHost, Sudo
from ..model import DnsLabel, HostName, Model, Seconds, about
from .args_base import DockerArgs, GoArgs, LogRotationArgs
from .args_cloud import CloudArgs, RegistrationArgs
from .args_containers import ContainerArgs, FrontendArgs, HostServiceArgs
from .args_edge import AdguardArgs, LocalCaArgs, NginxArgs, TraefikArgs
from .args_network import DeviceSegmentArgs, LanArgs, MdnsArgs
from .args_storage import StorageArgs
from .args_values import PlainPath

__all__ = ["EDGE_CONTAINERS", "LOGIN_SECRETS", "CM5GatewayArgs", "is_placeholder"]

LOGIN_SECRETS: Final = ("private_key", "passphrase", "sudo_password")
"""The secrets that open the machine; all others are contents of its files."""

EDGE_CONTAINERS: Final = ("nginx", "traefik", "adguard")
"""Containers whose configuration this component writes; ``containers`` holds the others."""

_TAKEN: Final = ("authority", "config", "frontend")
"""Directories below the data, where each container has one of its own name."""

_PLACEHOLDER_DOMAINS: Final = ("acme.com", "example.com", "example.org", "example.net")

Product = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,10}$")]


class CM5GatewayArgs(Model):
    """A gateway with a LAN side and, unless it is the classic one-network machine, an isolated device segment."""

    connection: RemoteHost | None = Field(
        default=None,
        description="How the machine is reached.",
        json_schema_extra=about("CM5-28, CM5-29"),
    )
    product: Product = Field(
        description="Name of the product: its user, containers, directories and the disk's label carry it.",
        json_schema_extra=about("CM5-02, CM5-50"),
    )
    version: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Version of the product: `{version}` in the images.",
        json_schema_extra=about("CM5-48, CM5-58"),
    )
    lan: LanArgs = Field(description="The side of the home network.", json_schema_extra=about("CM5-03"))
    device_segment: DeviceSegmentArgs | None = Field(
        default=None,
        description="The isolated side. Absent: the classic profile with one network.",
        json_schema_extra=about("CM5-04, CM5-06, CM5-30"),
    )
    storage: StorageArgs | None = Field(
        default=None,
        description="The NVMe disk. Absent: data lies where the system does.",
        json_schema_extra=about("CM5-05, CM5-10"),
    )
    mdns: MdnsArgs | None = Field(
        default=None, description="The `.local` name. Absent: none.", json_schema_extra=about("CM5-11")
    )
    local_ca: LocalCaArgs | None = Field(
        default=None,
        description="Authority for the `.local` name. Absent: Traefik's own certificate.",
        json_schema_extra=about("CM5-14"),
    )
    wan_domain_default: HostName = Field(
        description="Public name, where the file on the device says none.",
        json_schema_extra=about("CM5-45, CM5-171, CM5-207"),
    )
    domain_file: PlainPath | None = Field(
        default=None,
        description="File on the device whose content wins. Default: `domain.txt` in the user's home.",
        json_schema_extra=about("CM5-53"),
    )
    service_user: SystemName | None = Field(
        default=None,
        description="System user that owns the data. Default: the product's name.",
        json_schema_extra=about("CM5-50, CM5-169"),
    )
    data_dir: PlainPath = Field(default="/opt/data", description="Application data.", json_schema_extra=about("CM5-51"))
    config_dir: PlainPath | None = Field(
        default=None,
        description="Configuration of the containers. Default: `config` in the data.",
        json_schema_extra=about("CM5-52"),
    )
    install_dir: PlainPath | None = Field(
        default=None,
        description="Directory for sources, with `backend` and `frontend`. Default: `/opt/<product>`.",
        json_schema_extra=about("CM5-56, CM5-104"),
    )
    packages: tuple[str, ...] = Field(
        default=("bind9-dnsutils", "curl", "python3-docker", "python3-pip"),
        description="Packages of the system.",
        json_schema_extra=about("CM5-105, CM5-112"),
    )
    nginx: NginxArgs = Field(description="The web server.", json_schema_extra=about("CM5-120"))
    traefik: TraefikArgs = Field(description="The HTTPS edge.", json_schema_extra=about("CM5-121"))
    adguard: AdguardArgs | None = Field(
        default=None, description="The LAN's DNS. Absent: none.", json_schema_extra=about("CM5-123")
    )
    frontend: FrontendArgs | None = Field(
        default=None, description="Static files that nginx serves.", json_schema_extra=about("CM5-119")
    )
    containers: dict[DnsLabel, ContainerArgs] = Field(
        default={}, description="The other containers.", json_schema_extra=about("CM5-115 to CM5-125, CM5-185")
    )
    services: dict[DnsLabel, HostServiceArgs] = Field(
        default={}, description="Services of the host.", json_schema_extra=about("CM5-127, CM5-129, CM5-188")
    )
    cloud: CloudArgs | None = Field(
        default=None, description="The channel to the hub. Absent: none.", json_schema_extra=about("section 3.3")
    )
    checks: dict[ItemName, HostCheck] = Field(
        default={},
        description="What to verify of the product, beside the gateway's own checks.",
        json_schema_extra=about("CM5-223, CM5-232, CM5-276"),
    )
    docker: DockerArgs = Field(
        default=DockerArgs(), description="The container engine.", json_schema_extra=about("CM5-114")
    )
    go: GoArgs | None = Field(
        default=None, description="The Go toolchain. Absent: none.", json_schema_extra=about("CM5-106")
    )
    log_rotation: LogRotationArgs = Field(
        default=LogRotationArgs(), description="Rotation of logs.", json_schema_extra=about("CM5-128")
    )
    confirm_seconds: Seconds = Field(
        default=60,
        ge=5,
        description="A change of network or firewall is taken back unless the gateway is reached within this time.",
        json_schema_extra=about("CM5-142", unit="seconds"),
    )

    @property
    def user(self) -> str:
        """The system user."""
        return self.service_user or self.product

    @property
    def lan_address(self) -> str | None:
        """The address of the LAN side, as far as it is written here (CM5-33, CM5-205)."""
        if self.lan.address is not None or self.connection is None:
            return self.lan.address
        try:
            return str(IPv4Address(self.connection.address))
        except ValueError:
            return None

    @property
    def registration(self) -> RegistrationArgs | None:
        """How the gateway is registered on its hub, if that is done here."""
        return self.cloud.registration if self.cloud and self.cloud.enabled else None

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets it cannot do without."""
        names = {name for container in self.containers.values() for name in container.secrets}
        names |= {name for service in self.services.values() for name in service.secrets.values()}
        names |= {self.cloud.token} if self.cloud and self.cloud.enabled else set[str]()
        names |= {self.registration.admin_token} if self.registration else set[str]()
        names |= {self.adguard.password_hash} if self.adguard else set[str]()
        names |= set(self.traefik.acme.dns_credentials.values()) if self.traefik.acme else set[str]()
        names |= {"sudo_password"} if self.connection and self.connection.sudo is Sudo.PASSWORD else set[str]()
        return frozenset(names)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        """Judge what the parts have to do with each other; everything that is wrong at once."""
        wrong = [*self._interfaces(), *self._names(), *self._acme(), *self._containers(), *self._cloud()]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _interfaces(self) -> Iterator[str]:
        if self.connection is not None and self.lan_address is None:
            yield (
                f"lan.address is not given and the connection's address {self.connection.address!r} is a name: "
                "give lan.address, or reach the machine by its LAN address (CM5-33)"
            )
        segment = self.device_segment
        if segment is None:
            return
        if segment.mac == self.lan.mac:
            yield f"device_segment.mac and lan.mac are both {segment.mac}: read them on the device with `ip link`"
        if segment.interface == self.lan.interface:
            yield f"device_segment.interface and lan.interface are both {segment.interface}: give each its own"
        if self.lan_address is not None and IPv4Address(self.lan_address) in segment.network:
            yield f"the LAN address {self.lan_address} lies in the segment {segment.network}: give another one (CM5-80)"
        own = {self.lan_address, segment.address}
        for resolver in self.lan.resolvers:
            if resolver in own:
                yield f"lan.resolvers has the gateway's own address {resolver}: ask somebody else (CM5-198)"

    def _names(self) -> Iterator[str]:
        if self.local_ca is not None and not self.local_ca.in_vault and self.connection is not None:
            # The authority's certificate is read by a command of another package.
            if self.connection.user is None:
                yield "local_ca needs connection.user, for its certificate is read without the SSH configuration file"
            if len(self.connection.jump_hosts) > 1:
                yield "local_ca admits one of connection.jump_hosts, for its certificate is read through one at most"
        if self.local_ca is not None and self.mdns is None:
            yield "local_ca certifies the name of mdns, which is absent: add mdns, or remove local_ca"
        if self.mdns is not None and self.mdns.name == self.wan_domain_default:
            yield f"mdns and wan_domain_default are both {self.mdns.name}: give each its own name"

    def _acme(self) -> Iterator[str]:
        acme = self.traefik.acme
        if acme is None or acme.use_staging:
            return
        for field, name in (
            ("wan_domain_default", self.wan_domain_default),
            ("traefik.acme.email", acme.email.partition("@")[2]),
        ):
            if is_placeholder(name):
                yield f"{field} is a placeholder ({name}): give the real one, or set use_staging (CM5-83)"

    def _containers(self) -> Iterator[str]:
        if self.frontend is not None and "/" in self.nginx.proxies:
            yield "nginx.proxies has '/', where the frontend's files are: remove one of them"
        for name in EDGE_CONTAINERS:
            if name in self.containers:
                yield f"containers.{name} has a section of its own: describe it there"
        for name in _TAKEN:
            if name in self.containers:
                yield f"containers.{name} would share its directory of data: give it another name"
        frontend = self.frontend
        if frontend is None or frontend.container is None:
            return
        other = self.containers.get(frontend.container)
        if other is None:
            yield f"frontend.container names {frontend.container!r}, which is no container: correct it, or write null"
        elif _tag(frontend.image) != _tag(other.image):
            yield (
                f"frontend has the tag {_tag(frontend.image)} and {frontend.container} has {_tag(other.image)}: "
                "give both the same, or write `container: null` (CM5-208)"
            )

    def _cloud(self) -> Iterator[str]:
        cloud = self.cloud
        if cloud is None:
            return
        container = self.containers.get(cloud.container)
        file = container.files.get(cloud.file) if container else None
        if file is None or file.format != "yaml" or not isinstance(file.content, dict):
            where = f"containers.{cloud.container}.files.{cloud.file}"
            yield f"cloud puts its block into {where}, which must be a map in YAML: add it, or correct cloud"
        elif "cloud" in file.content:
            yield f"containers.{cloud.container}.files.{cloud.file} has a block `cloud` already: keep one"
        pairs = [("eth0_mac", cloud.eth0_mac, "lan.mac", self.lan.mac)]
        if self.device_segment is not None:
            pairs.append(("eth1_mac", cloud.eth1_mac, "device_segment.mac", self.device_segment.mac))
        elif cloud.eth1_mac is not None:
            yield "cloud.eth1_mac is given, but there is no device_segment: remove it"
        if cloud.registration is not None and self.device_segment is None:
            yield "cloud.registration needs device_segment: the hub wants both hardware addresses (CM5-193)"
        for key, registered, field, real in pairs:
            if registered is not None and registered != real:
                yield f"cloud.{key} is {registered} and {field} is {real}: the hub would refuse the gateway (CM5-197)"


def is_placeholder(name: str) -> bool:
    """Tell whether no authority issues for a name: each attempt would count against a rate limit (CM5-83)."""
    return any(name == domain or name.endswith(f".{domain}") for domain in _PLACEHOLDER_DOMAINS)


def _tag(image: str) -> str:
    return image.rpartition("@")[0].rpartition(":")[2] if "@" in image else image.rpartition(":")[2]
