"""What of a gateway is kept in a backup: data and keys, which `up` cannot make again. Pure."""

from typing import Any

from .gateway import Gateway
from .render_edge import authority_directory, site_certificate

__all__ = ["described", "kept", "manifest"]


def kept(gateway: Gateway) -> tuple[str, ...]:
    """List the paths: the authority, the store of public certificates, the data of the containers, the public name."""
    args, paths = gateway.args, set[str]()
    if args.local_ca is not None and not args.local_ca.in_vault:
        paths |= {authority_directory(gateway), site_certificate(gateway)}
    if args.traefik.acme is not None:
        paths.add(f"{gateway.config_dir}/traefik/acme")
    if args.adguard is not None:
        paths.add(f"{gateway.data_dir}/adguard")
    paths |= {f"{gateway.data_dir}/{name}" for name, each in gateway.containers.items() if each.volumes}
    return tuple(sorted({*paths, gateway.domain_file}))


def manifest(gateway: Gateway, created: str) -> dict[str, Any]:
    """Say whose the archive is; a restore to another gateway has to be asked for."""
    return {
        "format": 1,
        "product": gateway.product,
        "gateway_id": gateway.gateway_id,
        "version": gateway.args.version,
        "created": created,
    }


def described(gateway: Gateway) -> dict[str, Any]:
    """Describe the device for whatever system comes after this one (CM5-259): its networks, disk, servers and data."""
    args, segment, storage = gateway.args, gateway.segment, gateway.args.storage
    return {
        "product": gateway.product,
        "gateway_id": gateway.gateway_id,
        "wan_domain_default": args.wan_domain_default,
        "domain_file": gateway.domain_file,
        "mdns_name": gateway.mdns_name,
        "lan": {**args.lan.model_dump(mode="json"), "address": gateway.lan_address},
        "device_segment": segment.model_dump(mode="json") if segment else None,
        "storage": {**storage.model_dump(mode="json"), "label": gateway.label} if storage else None,
        "listeners": [each.as_data() for each in gateway.listeners],
        "versions": gateway.versions,
        "data": list(kept(gateway)),
    }
