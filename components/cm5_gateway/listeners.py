"""Who listens where on the gateway, and who must not (sections 4 and 8). Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

from .args import CM5GatewayArgs
from .args_containers import ListenerArgs, Place

__all__ = ["Listener", "conflicts", "listeners"]

_EVERYWHERE: Final = "all"


@dataclass(frozen=True, slots=True)
class Listener:
    """Something that waits for connections on the gateway."""

    name: str
    """Container or service."""
    address: str
    """``all``, or an address."""
    port: int
    protocol: str
    open_to: tuple[Place, ...]
    """Sides whose clients may reach it."""

    @property
    def where(self) -> str:
        """Where it listens, for a message."""
        return f"{self.address}:{self.port}/{self.protocol}"

    def as_data(self) -> dict[str, Any]:
        """Give plain values, for a stack output."""
        return {**asdict(self), "open_to": [place.value for place in self.open_to]}

    def meets(self, other: "Listener") -> bool:
        """Whether both cannot be had."""
        same = self.port == other.port and self.protocol == other.protocol
        return same and (self.address == other.address or _EVERYWHERE in {self.address, other.address})


def listeners(args: CM5GatewayArgs, lan_address: str) -> tuple[Listener, ...]:
    """List everything that listens: the gateway's own servers, then those of the stack."""
    return (*_own(args, lan_address), *_given(args, lan_address))


def conflicts(found: Iterable[Listener]) -> list[tuple[Listener, Listener]]:
    """Find the pairs that claim one place (CM5-98)."""
    return [(one, other) for one, other in combinations(found, 2) if one.meets(other)]


def _own(args: CM5GatewayArgs, lan: str) -> Iterator[Listener]:
    segment = args.device_segment
    if segment is None:
        yield Listener("nginx", _EVERYWHERE, 80, "tcp", (Place.LAN,))
        yield Listener("traefik", _EVERYWHERE, 443, "tcp", (Place.LAN,))
    else:
        yield Listener("traefik", lan, 443, "tcp", (Place.LAN,))
        yield Listener("nginx", lan, 80, "tcp", (Place.LAN,))
        yield Listener("nginx", segment.address, 80, "tcp", (Place.SEGMENT,))
        for protocol in ("tcp", "udp"):
            yield Listener("dnsmasq", segment.address, 53, protocol, (Place.SEGMENT,))
        yield Listener("dnsmasq", _EVERYWHERE, 67, "udp", (Place.SEGMENT,))
    if args.adguard is not None:
        for protocol in ("tcp", "udp"):
            yield Listener("adguard", lan, 53, protocol, (Place.LAN,))
        yield Listener("adguard", lan, args.adguard.ui_port, "tcp", (Place.LAN,))


def _given(args: CM5GatewayArgs, lan: str) -> Iterator[Listener]:
    segment = args.device_segment
    places = {"lan": lan, "loopback": "127.0.0.1", "segment": segment.address if segment else "127.0.0.1"}
    given: dict[str, tuple[ListenerArgs, ...]] = {name: each.listens for name, each in args.containers.items()}
    given |= {name: each.listens for name, each in args.services.items()}
    for name, listens in sorted(given.items()):
        for each in listens:
            yield Listener(name, places.get(each.address, _EVERYWHERE), each.port, each.protocol, each.open_to)
