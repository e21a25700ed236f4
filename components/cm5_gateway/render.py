"""All roles of a gateway, in an order in which none waits for a later one. Pure."""

from .gateway import Gateway
from .render_base import common, docker, go, log_rotation, mdns
from .render_containers import compose, container, host_service
from .render_edge import adguard, frontend, local_ca, nginx, traefik, vault_certificate
from .render_network import dhcp, firewall, network
from .render_storage import disk, on_disk
from .role import Role

__all__ = ["roles"]


def roles(gateway: Gateway) -> dict[str, Role]:
    """Plan every subsystem (sections 5 and 6): a change touches the one it belongs to, and what Compose restarts."""
    args, found = gateway.args, dict[str, Role]()
    if args.storage is not None:
        found["nvme"] = disk(gateway, args.storage)
        if args.storage.bind_mounts:
            found["data"] = on_disk(gateway, args.storage)
    if args.device_segment is not None:
        found["network"] = network(gateway, args.device_segment)
    found["firewall"] = firewall(gateway)
    if args.device_segment is not None:
        found["dhcp"] = dhcp(args.device_segment, gateway.product)
    found["common"] = common(gateway)
    if args.go is not None:
        found["go"] = go(args.go)
    if gateway.mdns_name is not None:
        found["mdns"] = mdns(gateway, gateway.mdns_name)
    found["docker"] = docker(gateway)
    if args.local_ca is not None and gateway.mdns_name is not None:
        on_device = not args.local_ca.in_vault
        found["tls"] = local_ca(gateway, args.local_ca, gateway.mdns_name) if on_device else vault_certificate(gateway)
    configured = _containers(gateway)
    found |= {f"container-{name}": role for name, role in configured.items()}
    if gateway.frontend is not None:
        found["frontend"] = frontend(gateway, gateway.frontend)
    found["compose"] = compose(gateway, configured)
    found |= {f"service-{name}": host_service(name, each) for name, each in sorted(args.services.items())}
    found["log-rotation"] = log_rotation(gateway)
    return found


def _containers(gateway: Gateway) -> dict[str, Role]:
    found = {name: container(gateway, name, each) for name, each in gateway.containers.items()}
    found["nginx"] = nginx(gateway)
    found["traefik"] = traefik(gateway)
    if gateway.args.adguard is not None:
        found["adguard"] = adguard(gateway, gateway.args.adguard)
    return dict(sorted(found.items()))
