"""What the LAN is served: certificates, Traefik, nginx with its static files, and AdGuard's DNS (sections 6.6, 6.7)."""

from operator import itemgetter
from typing import Any, Final

from ..host.args import DirectoryArgs, FileArgs, HostStateArgs, PackageArgs, StepArgs, UnitArgs
from ..host.args_services import Sections
from .args_containers import FrontendArgs
from .args_edge import AcmeArgs, AdguardArgs, LocalCaArgs
from .formats import env_file, script, template, yaml_text
from .gateway import Gateway
from .role import Role, SecretFile, shell

__all__ = [
    "ADGUARD_SCHEMA",
    "AUTHORITY_FILE",
    "VAULT_AUTHORITY",
    "VAULT_SITE",
    "adguard",
    "authority_directory",
    "frontend",
    "frontend_directory",
    "local_ca",
    "nginx",
    "rewrites",
    "site_certificate",
    "traefik",
    "vault_certificate",
]

ADGUARD_SCHEMA: Final = 28
"""Layout of AdGuard Home's file that is written here; newer programs read it and convert their copy."""
AUTHORITY_FILE: Final = "ca.crt"
VAULT_AUTHORITY: Final = "vault: certificate of the authority"
VAULT_SITE: Final = "vault: certificate of the local name"
"""What Vault gives, named as no secret of a stack can be."""
_STAGING: Final = "https://acme-staging-v02.api.letsencrypt.org/directory"
_PRODUCTION: Final = "https://acme-v02.api.letsencrypt.org/directory"
_DYNAMIC: Final = "/etc/traefik/dynamic"
_EXTRACT: Final = """set -e
rm -rf "$3.new" && mkdir -p "$3.new"
docker pull --quiet "$1" >/dev/null
container=$(docker create "$1" /)
trap 'docker rm "$container" >/dev/null' EXIT
docker cp "$container:$2/." "$3.new/"
[ -n "$(ls -A "$3.new")" ] || { echo "the image $1 holds nothing in $2" >&2; exit 1; }
sync "$3.new"
mv -T "$3.new" "$3\""""


def authority_directory(gateway: Gateway) -> str:
    """Where the authority lies: with the data; its key is readable by root alone."""
    return f"{gateway.data_dir}/authority"


def site_certificate(gateway: Gateway) -> str:
    """Where the certificate of the local name lies, with its key."""
    return f"{gateway.config_dir}/traefik/dynamic/site.pem"


def local_ca(gateway: Gateway, args: LocalCaArgs, host: str) -> Role:
    """Make the authority once and certify the local name; the device renews by itself (CM5-178, CM5-183)."""
    program = f"{gateway.library}/local-ca"
    directory, served = authority_directory(gateway), site_certificate(gateway)
    domain = host.partition(".")[2]
    days = (args.authority_days, args.certificate_days, args.renew_before_days)
    arguments = (directory, served, args.name, host, domain, *(str(each) for each in days))
    name = f"{gateway.product}-local-ca"
    service: Sections = {
        "Unit": {"Description": f"Certificate of {host}", "RequiresMountsFor": gateway.data_dir},
        "Service": {"Type": "oneshot", "ExecStart": " ".join(_quoted(each) for each in (program, "issue", *arguments))},
    }
    timer: Sections = {
        "Unit": {"Description": f"Renewal of the certificate of {host}"},
        "Timer": {"OnCalendar": "daily", "RandomizedDelaySec": "1h", "Persistent": "true"},
        "Install": {"WantedBy": "timers.target"},
    }
    return Role(
        HostStateArgs(
            packages={"openssl": PackageArgs()},
            directories={
                gateway.library: DirectoryArgs(),
                directory: DirectoryArgs(),
                f"{gateway.config_dir}/traefik": DirectoryArgs(),
                f"{gateway.config_dir}/traefik/dynamic": DirectoryArgs(mode="0750"),
            },
            files={
                program: FileArgs(
                    content=script("templates/local-ca.sh"), mode="0755", validate_with=("sh", "-n", "%s")
                )
            },
            steps={"certificate": StepArgs(run=(program, "issue", *arguments), unless=(program, "check", *arguments))},
            units={
                f"{name}.service": UnitArgs(unit=service),
                f"{name}.timer": UnitArgs(unit=timer, enabled=True, running=True),
            },
        ),
        after=("common",),
        protect=True,
    )


def vault_certificate(gateway: Gateway) -> Role:
    """Put the local name's certificate into its place, which Vault has issued; its authority's beside the data."""
    directory, served = authority_directory(gateway), site_certificate(gateway)
    authority = f"{directory}/{AUTHORITY_FILE}"
    return Role(
        HostStateArgs(
            directories={
                directory: DirectoryArgs(),
                f"{gateway.config_dir}/traefik": DirectoryArgs(),
                f"{gateway.config_dir}/traefik/dynamic": DirectoryArgs(mode="0750"),
            },
            files={authority: FileArgs(), served: FileArgs(mode="0600", secret=True)},
        ),
        after=("common",),
        secret_files={
            authority: SecretFile(frozenset({VAULT_AUTHORITY}), itemgetter(VAULT_AUTHORITY), public=True),
            served: SecretFile(frozenset({VAULT_SITE}), itemgetter(VAULT_SITE)),
        },
    )


def traefik(gateway: Gateway) -> Role:
    """Serve HTTPS on the LAN's address alone, for the public name and the local one (CM5-84, CM5-179, CM5-184)."""
    args, directory = gateway.args.traefik, f"{gateway.config_dir}/traefik"
    address = f"{gateway.lan_address}:443" if gateway.segment else ":443"
    static: dict[str, Any] = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO"},
        "accessLog": {},
        "entryPoints": {"websecure": {"address": address}},
        "providers": {"file": {"directory": _DYNAMIC, "watch": True}},
    }
    steps, secret_files, files = {}, {}, {}
    if args.acme is not None:
        static["certificatesResolvers"] = {args.resolver: {"acme": _acme(args.acme)}}
        # Traefik writes this file; what it holds is its own, and it refuses one that others could read.
        store = f"{directory}/acme/acme.json"
        steps["acme-store"] = StepArgs(
            run=shell('touch "$1" && chmod 600 "$1"', store),
            unless=shell('[ "$(stat -c %a "$1" 2>/dev/null)" = 600 ]', store),
        )
        if credentials := args.acme.dns_credentials:
            path = f"{directory}/secrets.env"
            files[path] = FileArgs(mode="0600", secret=True)
            secret_files[path] = SecretFile(
                frozenset(credentials.values()),
                lambda secrets: env_file({key: secrets[name] for key, name in credentials.items()}),
            )
    files[f"{directory}/traefik.yml"] = FileArgs(content=yaml_text(static))
    files[f"{directory}/dynamic/gateway.yml"] = FileArgs(content=yaml_text(_routes(gateway)))
    shared = (
        {}
        if gateway.args.local_ca
        else {f"{directory}/dynamic": DirectoryArgs(mode="0750"), directory: DirectoryArgs()}
    )
    return Role(
        HostStateArgs(directories=shared | {f"{directory}/acme": DirectoryArgs(mode="0700")}, files=files, steps=steps),
        after=("tls",) if gateway.args.local_ca else ("common",),
        secret_files=secret_files,
    )


def nginx(gateway: Gateway) -> Role:
    """Serve the devices over plain HTTP, and close what the LAN sends to port 80 (CM5-85, CM5-88, CM5-100)."""
    path = f"{gateway.config_dir}/nginx/nginx.conf"
    text = template(
        "nginx.conf",
        refused=gateway.lan_address if gateway.segment else None,
        served=f"{gateway.web_address}:80" if gateway.segment else "80",
        static=gateway.frontend is not None,
        whole="/" in gateway.args.nginx.proxies,
        # The longest path first reads as nginx chooses.
        proxies=sorted(gateway.args.nginx.proxies.items(), key=lambda each: (-len(each[0]), each[0])),
    )
    return Role(
        HostStateArgs(
            directories={f"{gateway.config_dir}/nginx": DirectoryArgs()}, files={path: FileArgs(content=text)}
        ),
        after=("common",),
    )


def frontend_directory(gateway: Gateway, args: FrontendArgs) -> str:
    """Where the static files of this version lie; each version has a directory of its own."""
    return f"{gateway.data_dir}/frontend/{args.image.rpartition('/')[2].replace(':', '-').replace('@', '-')}"


def frontend(gateway: Gateway, args: FrontendArgs) -> Role:
    """Take the static files out of their image, whole or not at all (CM5-119, CM5-137, CM5-187)."""
    directory = frontend_directory(gateway, args)
    return Role(
        HostStateArgs(
            directories={f"{gateway.data_dir}/frontend": DirectoryArgs()},
            steps={
                "extract": StepArgs(
                    run=shell(_EXTRACT, args.image, args.directory, directory), creates=directory, timeout=900
                )
            },
        ),
        after=("common", "docker"),
    )


def rewrites(gateway: Gateway, args: AdguardArgs) -> dict[str, str]:
    """List the names that the LAN's DNS answers itself (CM5-175, CM5-177, CM5-204)."""
    own = [gateway.segment.hostname if gateway.segment else None, gateway.mdns_name, gateway.wan_domain]
    found = {name: gateway.lan_address for name in own if name is not None}
    return found | {name: address or gateway.lan_address for name, address in args.rewrites.items()}


def adguard(gateway: Gateway, args: AdguardArgs) -> Role:
    """Answer the LAN's names on its address alone, with a login for the pages (CM5-86, CM5-87, CM5-176, CM5-216).

    AdGuard rewrites its own file at each start, so it gets a copy of this one then; what is changed in its pages lasts
    until the next start. The login is a file of its own, so that the rest stays readable in a plan.
    """
    directory = f"{gateway.config_dir}/adguard"
    document = {
        "schema_version": ADGUARD_SCHEMA,
        "http": {"address": f"{gateway.lan_address}:{args.ui_port}", "session_ttl": "24h"},
        "auth_attempts": 5,
        "block_auth_min": 15,
        "dns": {
            "bind_hosts": [gateway.lan_address],
            "port": 53,
            "upstream_dns": list(args.upstream_dns),
            "bootstrap_dns": list(args.bootstrap_dns),
        },
        "filtering": {
            "protection_enabled": True,
            "filtering_enabled": True,
            "rewrites": [
                {"domain": name, "answer": address} for name, address in sorted(rewrites(gateway, args).items())
            ],
        },
        "filters": [
            {"enabled": True, "id": number, "name": name, "url": url}
            for number, (name, url) in enumerate(sorted(args.filters.items()), 1)
        ],
    }
    login, work = f"{directory}/users.yaml", f"{gateway.data_dir}/adguard"
    return Role(
        HostStateArgs(
            directories={directory: DirectoryArgs(mode="0750")},
            files={
                f"{directory}/AdGuardHome.yaml": FileArgs(content=yaml_text(document)),
                login: FileArgs(mode="0600", secret=True),
            },
            steps={"work": StepArgs(run=("mkdir", "-p", "-m", "0700", work), creates=work)},
        ),
        after=("common",),
        secret_files={
            login: SecretFile(
                frozenset({args.password_hash}),
                lambda secrets: yaml_text({"users": [{"name": args.admin, "password": secrets[args.password_hash]}]}),
            )
        },
    )


def _acme(args: AcmeArgs) -> dict[str, Any]:
    challenge: dict[str, Any] = (
        {"dnsChallenge": {"provider": args.dns_provider}} if args.challenge == "dns-01" else {"tlsChallenge": {}}
    )
    return {
        "email": args.email,
        "caServer": _STAGING if args.use_staging else _PRODUCTION,
        "storage": "/acme/acme.json",
        **challenge,
    }


def _routes(gateway: Gateway) -> dict[str, Any]:
    """Say which names lead to nginx, each with its certificate (CM5-178 to CM5-180)."""
    args = gateway.args
    acme, segment = args.traefik.acme, gateway.segment
    names = list(dict.fromkeys([gateway.wan_domain, *([segment.hostname] if segment else [])]))
    tls: dict[str, Any] = {}
    if acme is not None:
        # Only a DNS record proves a name that the public DNS leads elsewhere.
        proven = names if acme.challenge == "dns-01" else names[:1]
        domains: dict[str, Any] = {"main": proven[0], **({"sans": proven[1:]} if proven[1:] else {})}
        tls = {"certResolver": args.traefik.resolver, "domains": [domains]}
    base = {"entryPoints": ["websecure"], "service": "web", "middlewares": ["secure"]}
    routers: dict[str, Any] = {"public": {"rule": _hosts(names), **base, "tls": tls}}
    if gateway.mdns_name is not None:
        routers["local"] = {"rule": _hosts([gateway.mdns_name]), **base, "tls": {}}
    served: dict[str, Any] = {
        "http": {
            "routers": routers,
            "services": {"web": {"loadBalancer": {"servers": [{"url": f"http://{gateway.web_address}:80"}]}}},
            "middlewares": {"secure": {"headers": {"contentTypeNosniff": True, "frameDeny": True}}},
        },
        "tls": {"options": {"default": {"minVersion": "VersionTLS12"}}},
    }
    if args.local_ca is not None:
        file = f"{_DYNAMIC}/site.pem"
        served["tls"]["certificates"] = [{"certFile": file, "keyFile": file}]
    return served


def _hosts(names: list[str]) -> str:
    return " || ".join(f"Host(`{name}`)" for name in names)


def _quoted(word: str) -> str:
    """Write a word of a unit's command; a name may hold spaces."""
    return f'"{word}"' if " " in word else word
