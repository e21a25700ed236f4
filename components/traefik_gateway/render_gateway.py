"""The gateway's files: static configuration, Compose project or service, and what the machine must be for them."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from ..host.args import (
    DirectoryArgs,
    DownloadArgs,
    FileArgs,
    HostStateArgs,
    Sections,
    StepArgs,
    UnitArgs,
    UserArgs,
)
from .args_gateway import PLUGIN_MODULE, ReleaseArgs, Runtime, TraefikGatewayArgs

__all__ = [
    "NAME",
    "PROVIDER",
    "REDACTED",
    "UNIT",
    "authority_path",
    "compose_project",
    "desired_state",
    "firewall_hints",
    "static_configuration",
    "static_path",
    "written",
]

NAME: Final = "traefik-gateway"
"""Name of the container, of the service and of the user."""
PROVIDER: Final = "proxmox"
"""What the plugin is called in the configuration."""
REDACTED: Final = "<secret>"
"""Stands for the token where the configuration is shown."""
UNIT: Final = f"{NAME}.service"
"""The unit, of either runtime."""
_INSIDE: Final = "/etc/traefik"
_HEADER: Final = "# Written by factory; changes are lost.\n"
_DOCKER: Final = "/usr/bin/docker"
_DYNAMIC: Final = "/dynamic/"
_ACME_CA: Final = "acme-ca.pem"
_HTTPS: Final = 443


def written(document: Mapping[str, Any]) -> str:
    """Write a configuration file."""
    return _HEADER + yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=10**9)


def static_path(args: TraefikGatewayArgs) -> str:
    """Give the path of the static configuration on the machine."""
    return f"{args.directory}/traefik.yml"


def static_configuration(args: TraefikGatewayArgs, token_secret: str = REDACTED) -> dict[str, Any]:
    """Make the static configuration, all of it: Traefik accepts one source only (TPX-184)."""
    home = _home(args)
    proof = {"entryPoint": "web"}
    acme: dict[str, Any] = {"email": args.acme.email, "storage": f"{home}/acme.json", "httpChallenge": proof}
    if args.acme.server is not None:
        acme["caServer"] = args.acme.server
    if args.acme.ca_pem is not None:
        acme["caCertificates"] = [f"{home}/{_ACME_CA}"]
    providers: dict[str, Any] = {"file": {"directory": f"{home}/dynamic", "watch": True}}
    document: dict[str, Any] = {
        "entryPoints": _entry_points(args),
        "certificatesResolvers": {args.resolver: {"acme": acme}},
        "providers": providers,
        # A log that nobody looks at on a terminal.
        "log": {"level": "INFO", "noColor": True},
        # What Traefik would otherwise ask and tell of its own accord.
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }
    if args.docker_provider:
        providers["docker"] = {"exposedByDefault": False}
    if args.plugin is not None:
        # The declaration and the settings belong to two places (TPX-185, TPX-260).
        declaration = {"moduleName": PLUGIN_MODULE, "version": args.plugin.version}
        document["experimental"] = {"plugins": {PROVIDER: declaration}}
        providers["plugin"] = {
            PROVIDER: {
                "pollInterval": f"{args.plugin.poll_seconds}s",
                "apiEndpoint": args.plugin.endpoint,
                "apiTokenId": args.plugin.token_id,
                "apiToken": token_secret,
                "apiLogging": args.plugin.logging,
                "apiValidateSSL": "true",
            }
        }
    if args.dashboard_port is not None:
        document["api"] = {"dashboard": True, "insecure": True}
    return document


def compose_project(args: TraefikGatewayArgs) -> dict[str, Any]:
    """Make the Compose project (TPX-181, TPX-182). No secret is in it (TPX-209)."""
    here = "."
    volumes = [
        f"{here}/traefik.yml:{_INSIDE}/traefik.yml:ro",
        f"{here}/dynamic:{_INSIDE}/dynamic:ro",
        f"{here}/acme.json:{_INSIDE}/acme.json",
        # Kept, so that a start without the plugins' registry finds the plugin.
        f"{here}/plugins-storage:/plugins-storage",
    ]
    if args.plugin is not None and args.plugin.ca_pem is not None:
        volumes.append(f"{here}/proxmox-ca.pem:/etc/ssl/certs/proxmox-ca.pem:ro")
    if args.acme.ca_pem is not None:
        volumes.append(f"{here}/{_ACME_CA}:{_INSIDE}/{_ACME_CA}:ro")
    if args.docker_provider:
        volumes.append("/var/run/docker.sock:/var/run/docker.sock:ro")
    ports = [f"{port}:{port}" for port in (args.http_port, args.https_port, *args.entry_points.values())]
    if args.dashboard_port is not None:
        ports.append(f"127.0.0.1:{args.dashboard_port}:{args.dashboard_port}")
    service = {
        "container_name": NAME,
        "image": args.image,
        "restart": "unless-stopped",
        "security_opt": ["no-new-privileges:true"],
        "ports": ports,
        "volumes": volumes,
    }
    return {"name": NAME, "services": {"traefik": service}}


def desired_state(args: TraefikGatewayArgs) -> HostStateArgs:
    """Say what the machine must be. The content of the static configuration is a secret, given beside this."""
    return _with_compose(args) if args.release is None else _with_systemd(args, args.release)


def _with_compose(args: TraefikGatewayArgs) -> HostStateArgs:
    files = _files(args, {}) | {f"{args.directory}/compose.yml": FileArgs(content=written(compose_project(args)))}
    unit = UnitArgs(unit=_compose_unit(args.directory), enabled=True, running=True, restart_on=_restarts(files))
    return HostStateArgs(
        directories=_directories(args, {}),
        files=files,
        steps={"acme-storage": _acme_storage(args.directory)},
        units={UNIT: unit},
    )


def _with_systemd(args: TraefikGatewayArgs, release: ReleaseArgs) -> HostStateArgs:
    home, owner = args.directory, {"owner": NAME, "group": NAME}
    archive, files = f"{home}/traefik.tar.gz", _files(args, owner)
    unpack = ("tar", "--extract", "--gzip", f"--file={archive}", "--directory=/usr/local/bin", "--no-same-owner")
    restarts = (*_restarts(files), "steps:unpack")
    user = {"system": True, "home": home, "create_home": False, "shell": "/usr/sbin/nologin"}
    return HostStateArgs(
        users={NAME: UserArgs.model_validate(user)},
        directories=_directories(args, owner),
        downloads={archive: DownloadArgs(url=release.url, sha256=release.sha256)},
        files=files,
        steps={
            "acme-storage": _acme_storage(home, "--owner", NAME, "--group", NAME),
            "unpack": StepArgs(run=(*unpack, "traefik"), on_change=(f"downloads:{archive}",)),
        },
        units={UNIT: UnitArgs(unit=_service_unit(args), enabled=True, running=True, restart_on=restarts)},
    )


def _directories(args: TraefikGatewayArgs, owner: Mapping[str, str]) -> dict[str, DirectoryArgs]:
    home = args.directory
    found = {path: DirectoryArgs(mode="0750", **owner) for path in (home, f"{home}/dynamic", f"{home}/plugins-storage")}
    if args.runtime is Runtime.SYSTEMD and args.plugin is not None and args.plugin.ca_pem is not None:
        found[f"{home}/ca"] = DirectoryArgs(mode="0755", **owner)
    return found


def _files(args: TraefikGatewayArgs, owner: Mapping[str, str]) -> dict[str, FileArgs]:
    files = {static_path(args): FileArgs(mode="0600", secret=True, **owner)}
    for name, document in args.dynamic.items():
        path = f"{args.directory}{_DYNAMIC}{name}.yml"
        files[path] = FileArgs(content=written(document), mode="0640", **owner)
    if args.plugin is not None and args.plugin.ca_pem is not None:
        files[authority_path(args)] = FileArgs(content=args.plugin.ca_pem, mode="0644", **owner)
    if args.acme.ca_pem is not None:
        files[f"{args.directory}/{_ACME_CA}"] = FileArgs(content=args.acme.ca_pem, mode="0644", **owner)
    return files


def _restarts(files: Mapping[str, FileArgs]) -> tuple[str, ...]:
    """Name what Traefik reads when it starts; it watches the dynamic files itself."""
    return tuple(f"files:{path}" for path in files if _DYNAMIC not in path)


def _acme_storage(home: str, *owner: str) -> StepArgs:
    """Make the file once: Docker would make a directory of a missing one, and what is in it is Traefik's (TPX-186)."""
    path = f"{home}/acme.json"
    return StepArgs(run=("install", "--mode=0600", *owner, "/dev/null", path), creates=path)


def firewall_hints(args: TraefikGatewayArgs, machines: Mapping[str, int]) -> list[dict[str, Any]]:
    """List what must be let through; everything else can stay closed. ``machines`` are the guests' ports by address."""
    inbound = [(args.http_port, "redirects, and proofs for certificates"), (args.https_port, "the published services")]
    inbound += [(port, f"entry point {name}") for name, port in args.entry_points.items()]
    hints = [
        {"direction": "in", "protocol": "tcp", "port": port, "peer": "anywhere", "why": why} for port, why in inbound
    ]
    if args.plugin is not None:
        place = urlsplit(args.plugin.endpoint)
        peer = {"port": place.port or _HTTPS, "peer": place.hostname}
        hints.append({"direction": "out", "protocol": "tcp", **peer, "why": "the Proxmox API"})
    hints += [
        {"direction": "out", "protocol": "tcp", "port": port, "peer": address, "why": "a guest's own Traefik"}
        for address, port in machines.items()
    ]
    why = "certificates, and the plugin's download at the first start"
    return [*hints, {"direction": "out", "protocol": "tcp", "port": 443, "peer": "anywhere", "why": why}]


def _entry_points(args: TraefikGatewayArgs) -> dict[str, Any]:
    redirect = {"to": "websecure", "scheme": "https"}
    found: dict[str, Any] = {
        "web": {"address": f":{args.http_port}", "http": {"redirections": {"entryPoint": redirect}}},
        "websecure": {"address": f":{args.https_port}", "http": {"tls": {"certResolver": args.resolver}}},
    }
    found |= {name: {"address": f":{port}"} for name, port in args.entry_points.items()}
    if args.dashboard_port is not None:
        # In a container every address is the container's own: there, the published address is what limits it (TPX-188).
        host = "" if args.runtime is Runtime.COMPOSE else "127.0.0.1"
        found["traefik"] = {"address": f"{host}:{args.dashboard_port}"}
    return found


def _home(args: TraefikGatewayArgs) -> str:
    """Where Traefik sees its files."""
    return _INSIDE if args.runtime is Runtime.COMPOSE else args.directory


def authority_path(args: TraefikGatewayArgs) -> str:
    """Give the path on the machine of the cluster's authority."""
    inner = "" if args.runtime is Runtime.COMPOSE else "/ca"
    return f"{args.directory}{inner}/proxmox-ca.pem"


def _compose_unit(home: str) -> Sections:
    compose = f"{_DOCKER} compose --file {home}/compose.yml"
    return {
        "Unit": {
            "Description": "Traefik gateway",
            "Requires": "docker.service",
            "After": ("docker.service", "network-online.target"),
            "Wants": "network-online.target",
        },
        "Service": {
            "Type": "oneshot",
            "RemainAfterExit": "yes",
            "ExecStart": f"{compose} up --detach --wait --remove-orphans",
            "ExecStop": f"{compose} down",
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


def _service_unit(args: TraefikGatewayArgs) -> Sections:
    service: dict[str, str | tuple[str, ...]] = {
        "ExecStart": f"/usr/local/bin/traefik --configFile={static_path(args)}",
        "WorkingDirectory": args.directory,
        "User": NAME,
        "Group": NAME,
        "Restart": "on-failure",
        "AmbientCapabilities": "CAP_NET_BIND_SERVICE",
        "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "ReadWritePaths": args.directory,
    }
    if args.plugin is not None and args.plugin.ca_pem is not None:
        # The authorities of the system and this one: Go reads every directory of the list.
        service["Environment"] = f"SSL_CERT_DIR=/etc/ssl/certs:{args.directory}/ca"
    return {
        "Unit": {
            "Description": "Traefik gateway",
            "After": "network-online.target",
            "Wants": "network-online.target",
        },
        "Service": service,
        "Install": {"WantedBy": "multi-user.target"},
    }
