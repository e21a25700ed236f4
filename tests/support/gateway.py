"""A gateway out of documentation values, in both profiles."""

from __future__ import annotations

from typing import Any

from components.cm5_gateway import CM5GatewayArgs

__all__ = ["CLASSIC", "GATEWAY", "HOST_KEY", "SECRETS", "classic", "gateway_args", "merged"]

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43

GATEWAY: dict[str, Any] = {
    "connection": {"address": "10.20.0.14", "user": "operator", "host_key": HOST_KEY, "sudo": "passwordless"},
    "product": "cabin",
    "version": "2.1.0",
    "lan": {"mac": "02:00:5E:00:53:01"},
    "device_segment": {
        "mac": "02:00:5e:00:53:02",
        "hostname": "hub.example.test",
        "reservations": [{"mac": "02:00:5e:00:53:10", "address": "10.0.1.10", "name": "valve"}],
    },
    "storage": {},
    "mdns": {"hostname": "cabin"},
    "local_ca": {"name": "Cabin Local CA"},
    "wan_domain_default": "home.example.test",
    "nginx": {"image": "nginx:1.27.3", "proxies": {"/api/": 7070, "/api/events": 7071}},
    "traefik": {
        "image": "traefik:v2.11.3",
        "acme": {
            "email": "admin@site.test",
            "challenge": "dns-01",
            "dns_provider": "ovh",
            "dns_credentials": {"OVH_CONSUMER_KEY": "ovh_consumer_key"},
        },
    },
    "adguard": {"image": "adguard/adguardhome:v0.107.52", "filters": {"base": "https://lists.example.test/base.txt"}},
    "frontend": {"image": "registry.example.test/cabin/frontend:{version}"},
    "containers": {
        "backend": {
            "image": "registry.example.test/cabin/backend:{version}",
            "files": {
                "config.yaml": {
                    "mount": "/etc/backend/config.yaml",
                    "format": "yaml",
                    "content": {"server": {"port": 7070}},
                }
            },
            "secret_environment": {"CAMERA_KEY": "camera_key"},
            "volumes": {"state": {"mount": "/var/lib/backend", "owner": "1000:1000"}},
            "listens": [{"port": 7070}],
        },
        "mosquitto": {
            "image": "eclipse-mosquitto:2.0.20",
            "files": {"mosquitto.conf": {"mount": "/mosquitto/config/mosquitto.conf", "content": "listener 1883\n"}},
            "volumes": {"data": {"mount": "/mosquitto/data"}},
            "listens": [{"port": 1883, "open_to": ["segment"]}],
        },
        "node-exporter": {
            "image": "prom/node-exporter:v1.8.2",
            "command": ["--web.listen-address=127.0.0.1:9101", "--path.procfs=/host/proc", "--filter=^(a|b)$"],
            "environment": {"PRICE": "5$"},
            "mounts": {"/proc": "/host/proc"},
            "listens": [{"port": 9101, "address": "loopback"}],
        },
    },
    "services": {
        "monitor": {
            "unit": {"Unit": {"Description": "Monitor"}, "Service": {"ExecStart": "/usr/local/bin/monitor"}},
            "files": {"/usr/local/bin/monitor": {"content": "#!/bin/sh\nexec sleep infinity\n", "mode": "0755"}},
            "listens": [{"port": 9091, "address": "loopback"}],
        },
        "push-status": {
            "unit": {"Service": {"Type": "oneshot", "ExecStart": "/usr/local/bin/push"}},
            "timer": {"Timer": {"OnCalendar": "hourly"}},
            "files": {
                "/usr/local/bin/push": {"content": "#!/bin/sh\ntrue\n", "mode": "0755"},
                "/etc/push.token": {"secret": True, "mode": "0600"},
            },
            "secrets": {"/etc/push.token": "push_token"},
        },
    },
    "cloud": {"hub_url": "https://hub.example.test", "machine_id": 7},
    "go": {"sha256": "0" * 64},
}
"""Everything there is."""

CLASSIC: dict[str, Any] = {
    "connection": GATEWAY["connection"],
    "product": "cabin",
    "version": "2.1.0",
    "lan": {"mac": "02:00:5e:00:53:01"},
    "wan_domain_default": "home.example.test",
    "nginx": {"image": "nginx:1.27.3", "proxies": {"/api/": 7070}},
    "traefik": {"image": "traefik:v2.11.3", "acme": {"email": "admin@site.test"}},
    "containers": {"backend": {"image": "registry.example.test/cabin/backend:{version}", "listens": [{"port": 7070}]}},
}
"""The machine with one network and no disk of its own (CM5-06 to CM5-18)."""

SECRETS = {
    "adguard_password_hash": "$2y$05$hash-of-adguard",
    "camera_key": "secret-of-camera",
    "cloud_gateway_token": "secret-of-cloud",
    "ovh_consumer_key": "secret-of-ovh",
    "push_token": "secret-of-push",
}
"""The values of the gateway's secrets."""


def merged(base: Any, change: Any) -> Any:
    """Change a description in depth; None removes a key."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    found = {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}
    return {key: value for key, value in found.items() if not (value is None and key in change)}


def gateway_args(**changes: Any) -> CM5GatewayArgs:
    """Describe the gateway; a keyword changes a section in depth."""
    return CM5GatewayArgs.model_validate(merged(GATEWAY, changes))


def classic(**changes: Any) -> CM5GatewayArgs:
    """Describe the classic machine."""
    return CM5GatewayArgs.model_validate(merged(CLASSIC, changes))
