"""The gateway's two networks: the LAN, and the isolated segment of the field devices."""

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from ..model import DnsLabel, HostName, Model, about
from .args_values import Ipv4, LeaseTime, MacAddress, ipv4_network

__all__ = ["DeviceSegmentArgs", "InterfaceName", "LanArgs", "MdnsArgs", "ReservationArgs"]

InterfaceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=15)]
"""A network interface as the kernel names it."""


class LanArgs(Model):
    """The side of the home network: its address comes by DHCP and serves the users."""

    interface: InterfaceName = Field(
        default="eth0", description="Name of the interface on the device.", json_schema_extra=about("CM5-03")
    )
    mac: MacAddress = Field(
        description="Hardware address (`ip link` on the device); the network is configured by it.",
        json_schema_extra=about("CM5-31, CM5-76"),
    )
    address: Ipv4 | None = Field(
        default=None,
        description="Address that everything on this side is bound to. Default: the one of the SSH connection, which "
        "then must be an address.",
        json_schema_extra=about("CM5-33, CM5-205", unit="IPv4"),
    )
    resolvers: tuple[Ipv4, ...] = Field(
        default=("9.9.9.9", "149.112.112.112"),
        min_length=1,
        description="Who the gateway itself asks for names. Never its own servers: they answer with its own address.",
        json_schema_extra=about("CM5-198, CM5-253", unit="IPv4"),
    )


class ReservationArgs(Model):
    """A device that always gets the same address."""

    mac: MacAddress = Field(description="Hardware address of the device.", json_schema_extra=about("CM5-41"))
    address: Ipv4 = Field(description="Its address.", json_schema_extra=about("CM5-41, CM5-164", unit="IPv4"))
    name: DnsLabel = Field(description="Its name.", json_schema_extra=about("CM5-41, CM5-164"))


class DeviceSegmentArgs(Model):
    """The isolated segment: DHCP and names by dnsmasq, plain HTTP by nginx, no way out (CM5-04, CM5-209)."""

    interface: InterfaceName = Field(
        default="eth1", description="Name of the interface on the device.", json_schema_extra=about("CM5-04")
    )
    mac: MacAddress = Field(
        description="Hardware address (`ip link` on the device).", json_schema_extra=about("CM5-32, CM5-76")
    )
    address: Ipv4 = Field(
        default="10.0.1.1",
        description="Address of the gateway in the segment.",
        json_schema_extra=about("CM5-34", unit="IPv4"),
    )
    prefix: int = Field(
        default=24, ge=8, le=30, description="Size of the segment.", json_schema_extra=about("CM5-35", unit="bits")
    )
    hostname: HostName = Field(
        description="Name under which the devices find the gateway.", json_schema_extra=about("CM5-36, CM5-163")
    )
    dhcp_range_start: Ipv4 = Field(
        default="10.0.1.100", description="First address of a lease.", json_schema_extra=about("CM5-37", unit="IPv4")
    )
    dhcp_range_end: Ipv4 = Field(
        default="10.0.1.200", description="Last address of a lease.", json_schema_extra=about("CM5-38", unit="IPv4")
    )
    dhcp_lease_time: LeaseTime = Field(
        default="12h",
        description="How long a lease lasts: `12h`, `45m`, `infinite`.",
        json_schema_extra=about("CM5-39, CM5-81"),
    )
    upstream_dns: Ipv4 = Field(
        default="9.9.9.9",
        description="Who answers the other names of the devices.",
        json_schema_extra=about("CM5-40, CM5-165", unit="IPv4"),
    )
    reservations: tuple[ReservationArgs, ...] = Field(
        default=(), description="Devices with a fixed address.", json_schema_extra=about("CM5-41, CM5-79")
    )

    @property
    def network(self) -> IPv4Network:
        """The segment."""
        return ipv4_network(self.address, self.prefix)

    @model_validator(mode="after")
    def _addresses_fit(self) -> Self:
        """Judge what the segment's addresses have to do with each other (CM5-78, CM5-79)."""
        wrong = [*self._own_address(), *self._range(), *self._reservations()]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _own_address(self) -> list[str]:
        edges = (self.network.network_address, self.network.broadcast_address)
        if IPv4Address(self.address) in edges:
            return [f"address {self.address} is the network's or the broadcast's in {self.network}: give a host's"]
        return []

    def _range(self) -> list[str]:
        first, last = IPv4Address(self.dhcp_range_start), IPv4Address(self.dhcp_range_end)
        if first > last:
            return [f"dhcp_range_start {first} comes after dhcp_range_end {last}: exchange them"]
        outside = [str(end) for end in (first, last) if end not in self.network]
        if outside:
            return [f"the range's end {end} is not in {self.network}: keep the range inside" for end in outside]
        taken = (IPv4Address(self.address), self.network.network_address, self.network.broadcast_address)
        held = [str(each) for each in taken if first <= each <= last]
        return [f"the range {first}-{last} holds {each}, which no device may get: leave it out" for each in held]

    def _reservations(self) -> list[str]:
        wrong = []
        for field in ("mac", "address", "name"):
            values = [getattr(each, field) for each in self.reservations]
            twice = sorted({value for value in values if values.count(value) > 1})
            wrong += [f"reservations has the {field} {value} twice: a device has one of its own" for value in twice]
        for each in self.reservations:
            address = IPv4Address(each.address)
            if address not in self.network:
                wrong.append(f"the reservation {each.name} has {address}, which is not in {self.network}")
            elif address in (self.network.network_address, self.network.broadcast_address):
                wrong.append(f"the reservation {each.name} has {address}, which is no host's address")
            if each.address == self.address:
                wrong.append(f"the reservation {each.name} has {address}, the gateway's own address")
        return wrong


class MdnsArgs(Model):
    """The name by which clients of the LAN find the gateway without a DNS server (CM5-172)."""

    hostname: DnsLabel = Field(description="First part of the name.", json_schema_extra=about("CM5-63"))
    domain: HostName = Field(default="local", description="The rest of it.", json_schema_extra=about("CM5-63"))

    @property
    def name(self) -> str:
        """The whole name."""
        return f"{self.hostname}.{self.domain}"
