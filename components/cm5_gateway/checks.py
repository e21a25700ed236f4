"""What to verify on a gateway that was set up, and its way to the hub (section 9), as data; nothing here runs anything.

The name of a check begins with its requirement. All are asked on the gateway itself.
"""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from ..host.checks import HostCheck
from .args_cloud import CloudArgs
from .gateway import Gateway
from .render_edge import AUTHORITY_FILE, authority_directory, rewrites, site_certificate
from .role import shell

__all__ = ["as_data", "checklist", "wan_checklist"]

_EMPTY_REPLY: Final = 52
"""How curl ends when the server closes the connection without an answer."""
_UNAUTHORIZED: Final = 401
_DAY: Final = 24 * 60 * 60

_CODE: Final = ("curl", "-sS", "-o", "/dev/null", "-m", "8", "-w", "%{http_code}")
_EXACTLY: Final = 'expected=$1; shift; found=$("$@"); echo "$found"; [ "$found" = "$expected" ]'
_PUBLIC_NAME: Final = (
    'name=$(tr -d "[:space:]" < "$2" 2>/dev/null | tr "[:upper:]" "[:lower:]"); name=${name:-$3}; '
    'found=$(dig +short +time=2 +tries=1 "@$4" "$name" A); echo "$name: $found"; [ "$found" = "$1" ]'
)
_ONE_OF: Final = (
    'allowed=$1; shift; found=$("$@"); echo "$found"; case " $allowed " in *" $found "*) ;; *) exit 1 ;; esac'
)
_RUNNING: Final = (
    'found=$(docker compose --file "$1" ps --status running --services | sort | tr "\\n" " "); '
    'echo "$found"; [ "$found" = "$2 " ]'
)
_ONLY_AT: Final = (
    'found=$(ss -Hln "$1" "sport = :$2" | awk \'{print $4}\' | sort -u); echo "$found"; '
    '[ -n "$found" ] && ! echo "$found" | grep -Fvx "$3"'
)
_NOT_EVERYWHERE: Final = (
    'found=$(ss -Hlntu "sport = :53" | awk \'{print $5}\' | sort -u); echo "$found"; '
    '! echo "$found" | grep -E "^(0[.]0[.]0[.]0|[*]|\\[::\\]):53$"'
)
_TLS: Final = (
    'openssl s_client -connect "$1" -servername "$2" -verify_hostname "$2" -verify_return_error $3 '
    "</dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -ext subjectAltName"
)
_PUBLIC: Final = (
    'found=$(dig +short "$1" A | tail -n 1); echo "$found"; [ -n "$found" ] && python3 -c '
    '"import ipaddress, sys; sys.exit(not ipaddress.ip_address(sys.argv[1]).is_global)" "$found"'
)
_NO_CONTENT: Final = 'found=$("$@"); echo "$found"; case $found in 000|30?) ;; *) exit 1 ;; esac'
_EGRESS: Final = (
    'found=$(ip route get "$(dig +short "$1" A | tail -n 1)"); echo "$found"; echo "$found" | grep -q " dev $2 "'
)


def checklist(gateway: Gateway) -> dict[str, HostCheck]:
    """List the checks of the gateway itself, then those of the stack."""
    return {
        **dict(_system(gateway)),
        **dict(_segment(gateway)),
        **dict(_lan(gateway)),
        **dict(_adguard(gateway)),
        **dict(_running(gateway)),
        **gateway.args.checks,
    }


def wan_checklist(gateway: Gateway) -> dict[str, HostCheck]:
    """List the checks of the way to the hub, P0 to P6 (section 9.1); none without a channel."""
    cloud = gateway.args.cloud
    return dict(_wan(gateway, cloud)) if cloud is not None and cloud.enabled else {}


def as_data(checks: dict[str, HostCheck]) -> list[dict[str, object]]:
    """Write checks as plain values, for a stack output (CM5-276)."""
    return [{"name": name, **check.model_dump(mode="json", exclude_defaults=True)} for name, check in checks.items()]


def _system(gateway: Gateway) -> Iterator[tuple[str, HostCheck]]:
    storage = gateway.args.storage
    yield (
        "CM5-219-lan-address",
        HostCheck(
            command=("ip", "-4", "-o", "address", "show", "dev", gateway.args.lan.interface),
            contains=f" inet {gateway.lan_address}/",
            likely_cause="the LAN's DHCP gave another address: reserve it there, or correct lan.address (CM5-206)",
        ),
    )
    if storage is None:
        return
    yield (
        "CM5-221-label",
        HostCheck(
            command=("blkid", "-L", gateway.label),
            likely_cause="PCIe is off, or the disk is not there: lsblk (CM5-244)",
        ),
    )
    binds = (gateway.data_dir, gateway.log_dir) if storage.bind_mounts else ()
    for path in (storage.mount, *binds):
        yield (
            f"CM5-220-mount{path.replace('/', '-')}",
            HostCheck(
                command=("findmnt", "--mountpoint", path),
                likely_cause="the disk was not there at start: findmnt --verify; journalctl -b -u local-fs.target",
            ),
        )


def _segment(gateway: Gateway) -> Iterator[tuple[str, HostCheck]]:
    segment = gateway.segment
    if segment is None:
        return
    yield (
        "CM5-219-segment-address",
        HostCheck(
            command=("ip", "-4", "-o", "address", "show", "dev", segment.interface),
            contains=f" inet {segment.address}/{segment.prefix} ",
            likely_cause=f"wrong hardware address: networkctl status {segment.interface} (CM5-245)",
        ),
    )
    for unit, cause in (
        ("systemd-networkd.service", "networkctl status"),
        ("dnsmasq.service", "journalctl -u dnsmasq (CM5-246); ss -tlnup sport = :53 (CM5-250)"),
    ):
        yield f"CM5-222-{unit}", HostCheck(unit=unit, likely_cause=cause)
    ask = ("dig", "+short", "+time=2", "+tries=1", f"@{segment.address}", segment.hostname)
    yield (
        "CM5-229-segment-name",
        HostCheck(command=shell(_EXACTLY, segment.address, *ask, "A"), likely_cause="journalctl -u dnsmasq (CM5-246)"),
    )
    yield (
        "CM5-168-no-other-record",
        HostCheck(
            command=shell(_EXACTLY, "", *ask, "AAAA"),
            likely_cause="the name is asked for elsewhere: the line local= of dnsmasq's file is missing",
        ),
    )
    yield (
        "CM5-224-segment-http",
        HostCheck(http=f"http://{segment.address}", likely_cause="nginx is down, or has no static files: docker ps"),
    )
    yield (
        "CM5-226-lan-http-closed",
        HostCheck(
            command=("curl", "-s", "-m", "8", "-o", "/dev/null", f"http://{gateway.lan_address}/"),
            status=_EMPTY_REPLY,
            likely_cause="nginx answers the LAN on port 80, or is down; a closed connection is right here (CM5-247)",
        ),
    )
    yield (
        "CM5-202-https-on-lan-only",
        HostCheck(
            command=shell(_ONLY_AT, "-t", "443", f"{gateway.lan_address}:443"),
            likely_cause="something else than Traefik has port 443, or Traefik binds everywhere: ss -tlnp",
        ),
    )
    yield (
        "CM5-231-name-servers-apart",
        HostCheck(
            command=shell(_NOT_EVERYWHERE),
            likely_cause="a name server binds everywhere: ss -tlnup sport = :53 (CM5-203, CM5-250)",
        ),
    )
    yield (
        "CM5-209-isolated",
        HostCheck(
            command=("nft", "list", "chain", "inet", f"{gateway.product}_gateway", "forward"),
            contains=f'iifname "{segment.interface}" drop',
            likely_cause=f"systemctl status {gateway.product}-firewall",
        ),
    )


def _lan(gateway: Gateway) -> Iterator[tuple[str, HostCheck]]:
    name = gateway.mdns_name
    if name is None:
        return
    for unit in ("avahi-daemon.service", f"avahi-publish-{gateway.product}.service"):
        yield f"CM5-222-{unit}", HostCheck(unit=unit, likely_cause=f"journalctl -u {unit}")
    yield (
        "CM5-227-mdns",
        HostCheck(
            command=("avahi-resolve-host-name", "-4", name),
            contains=gateway.lan_address,
            likely_cause="another machine has the name: journalctl -u avahi-daemon",
        ),
    )
    at = f"{gateway.lan_address}:443"
    authority = f"{authority_directory(gateway)}/{AUTHORITY_FILE}"
    local_ca = gateway.args.local_ca
    trust = ("--cacert", authority) if local_ca else ("-k",)
    yield (
        "CM5-225-lan-https",
        HostCheck(
            command=shell(
                _EXACTLY, "200", *_CODE, *trust, "--resolve", f"{name}:443:{gateway.lan_address}", f"https://{name}/"
            ),
            likely_cause="Traefik or nginx is down: docker ps; docker logs",
        ),
    )
    if local_ca is not None:
        on_device = not local_ca.in_vault
        renewal = f"systemctl status {gateway.product}-local-ca" if on_device else "run `./factory up`: it renews"
        half = str(local_ca.renew_before_days * _DAY // 2)
        yield (
            "CM5-178-renewed-in-time",
            HostCheck(
                command=("openssl", "x509", "-in", site_certificate(gateway), "-noout", "-checkend", half),
                likely_cause=renewal,
            ),
        )
        yield (
            "CM5-228-local-certificate",
            HostCheck(
                command=shell(_TLS, at, name, f"-CAfile {authority}"),
                contains=local_ca.name,
                likely_cause=f"{renewal}; clients: install the authority (CM5-248)",
            ),
        )


def _adguard(gateway: Gateway) -> Iterator[tuple[str, HostCheck]]:
    args = gateway.args.adguard
    if args is None:
        return
    restart = f"docker restart {gateway.product}-adguard"
    answers = rewrites(gateway, args)
    public = answers.pop(gateway.wan_domain)
    for name, address in sorted(answers.items()):
        yield (
            f"CM5-230-{name}",
            HostCheck(
                command=shell(
                    _EXACTLY, address, "dig", "+short", "+time=2", "+tries=1", f"@{gateway.lan_address}", name, "A"
                ),
                likely_cause=f"AdGuard is down, or was changed in its pages: {restart}",
            ),
        )
    yield (
        "CM5-230-public-name",
        HostCheck(
            command=shell(
                _PUBLIC_NAME, public, gateway.domain_file, gateway.args.wan_domain_default, gateway.lan_address
            ),
            likely_cause=f"{gateway.domain_file} says another name since the last `up`: run it; or {restart}",
        ),
    )
    yield (
        "CM5-216-login",
        HostCheck(
            http=f"http://{gateway.lan_address}:{args.ui_port}/control/status",
            status=_UNAUTHORIZED,
            likely_cause="AdGuard's pages need no login: the file users.yaml was not read",
        ),
    )


def _running(gateway: Gateway) -> Iterator[tuple[str, HostCheck]]:
    names = sorted({*gateway.versions} - {"version", "frontend"})
    yield (
        "CM5-218-containers",
        HostCheck(
            command=shell(_RUNNING, gateway.compose_file, " ".join(names)),
            timeout=30,
            likely_cause=f"docker compose -f {gateway.compose_file} ps; is the disk mounted? (CM5-251)",
        ),
    )
    for name, service in sorted(gateway.args.services.items()):
        unit = f"{name}.timer" if service.timer else f"{name}.service"
        yield f"CM5-232-{unit}", HostCheck(unit=unit, likely_cause=f"journalctl -u {name}")
    for each in gateway.listeners:
        if each.protocol == "tcp":
            address = "127.0.0.1" if each.address == "all" else each.address
            yield (
                f"section-4-{each.name}-{address}-{each.port}",
                HostCheck(port=each.port, address=address, likely_cause=f"{each.name} is down: docker ps; ss -tlnp"),
            )


def _wan(gateway: Gateway, cloud: CloudArgs) -> Iterator[tuple[str, HostCheck]]:
    host = urlsplit(cloud.hub_url).hostname or ""
    plain = f"http://{host}/"
    resolver = "the gateway asks its own name server: cat /etc/resolv.conf (CM5-198, CM5-253)"
    look_up = (
        shell(_EXACTLY, cloud.hub_address, "dig", "+short", host, "A") if cloud.hub_address else shell(_PUBLIC, host)
    )
    yield "CM5-233-P0-dns", HostCheck(command=look_up, likely_cause=resolver)
    yield (
        "CM5-234-P1-tls",
        HostCheck(
            command=shell(_ONE_OF, "200 301", *_CODE, f"{cloud.hub_url}/"),
            likely_cause="the hub is down, or its certificate is not valid: curl -v",
        ),
    )
    yield (
        "CM5-235-P2-certificate",
        HostCheck(
            command=shell(_TLS, f"{host}:443", host, ""),
            contains=f"DNS:{host}",
            likely_cause="the hub's certificate is for another name, or its chain does not verify (CM5-242)",
        ),
    )
    yield (
        "CM5-236-P3-no-plain-http",
        HostCheck(
            command=shell(_NO_CONTENT, *_CODE, plain),
            likely_cause="the hub answers over plain HTTP: it must redirect or refuse (CM5-192)",
        ),
    )
    yield (
        "CM5-237-P4-heartbeat",
        HostCheck(
            command=shell(_EXACTLY, str(_UNAUTHORIZED), *_CODE, "-X", "POST", f"{cloud.hub_url}/api/gateway/heartbeat"),
            likely_cause="404 or 405: the hub has no such route yet; 200: it asks for no token (CM5-212, CM5-241)",
        ),
    )
    yield (
        "CM5-238-P5-egress",
        HostCheck(
            command=shell(_EGRESS, host, gateway.args.lan.interface),
            likely_cause="a default route leads into the segment: ip route (CM5-154)",
        ),
    )
    yield (
        "CM5-239-P6-outbound",
        HostCheck(
            port=443, address=host, likely_cause="the router at home blocks outbound HTTPS: open it, and note it down"
        ),
    )
