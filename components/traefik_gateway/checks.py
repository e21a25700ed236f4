"""What to verify after a gateway was built, as data, from the machine outwards (section 14 of the requirements)."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from ..app_stack.checks import Check
from .args_gateway import Runtime, TraefikGatewayArgs
from .args_proxmox import ProxmoxConnection
from .render_gateway import NAME

__all__ = ["gateway_checks", "notes_checks", "route_checks"]

_PVESH = "run it on a node of the cluster"
_STATUS = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}")


def gateway_checks(args: TraefikGatewayArgs) -> tuple[Check, ...]:
    """List what must hold on the gateway's machine; the commands run there."""
    compose = args.runtime is Runtime.COMPOSE
    logs = (
        ("docker", "logs", "--since", "10m", NAME) if compose else ("journalctl", "--unit", NAME, "--since", "-10min")
    )
    running = ("docker", "inspect", "--format", "{{.State.Status}}", NAME)
    found = [
        Check(
            id="TPX-181",
            what="Traefik runs",
            command=running if compose else ("systemctl", "is-active", f"{NAME}.service"),
            expected="running" if compose else "active",
            likely_cause="a port is taken, or the static configuration is refused: read the logs",
        ),
        Check(
            id="TPX-186",
            what="the certificates' file is Traefik's alone",
            command=("stat", "--format", "%F %a", f"{args.directory}/acme.json"),
            expected="regular file 600, or regular empty file 600",
            likely_cause="a container that started before the file was there made a directory of it: remove that",
        ),
        Check(
            id="TPX-218",
            what="plain HTTP leads to HTTPS",
            command=(*_STATUS, f"http://127.0.0.1:{args.http_port}/"),
            expected="301 or 308",
            likely_cause="another program listens on that port",
        ),
    ]
    if args.plugin is not None:
        found.append(
            Check(
                id="TPX-212",
                what="the plugin reads the notes",
                command=logs,
                expected="lines of the plugin, and none with `error`",
                likely_cause="the plugin could not be downloaded, or its token is wrong (TPX-223): see the next checks",
            )
        )
        found.append(
            Check(
                id="TPX-214",
                what="the gateway reaches the API of the cluster and trusts it",
                command=(*_STATUS, *_trust(args), f"{args.plugin.endpoint}/api2/json/version"),
                expected="401: it answers, and wants a token",
                likely_cause="the firewall, the address, or `ca_pem` is not the authority of that certificate",
            )
        )
        found.append(_token_check("TPX-216", args.plugin.token_id, "VM.Audit and Sys.Audit"))
    return tuple(found)


def notes_checks(args: ProxmoxConnection) -> tuple[Check, ...]:
    """List what must hold on the cluster."""
    return (_token_check("TPX-215", args.token_id, "VM.Audit and VM.Config.Options"),)


def route_checks(routes: Mapping[str, Mapping[str, str]]) -> tuple[Check, ...]:
    """List the pages that must answer, one for each predicted public address (TPX-213)."""
    addresses = {
        word.rstrip(",")
        for of_guest in routes.values()
        for text in of_guest.values()
        for word in text.partition(" -> ")[0].split()
        if urlsplit(word).netloc
    }
    return tuple(
        Check(
            id="TPX-213",
            what=f"{address} answers",
            command=(*_STATUS, address),
            expected="the application's own status, 200 to 399",
            likely_cause="404: the guest's Traefik has no such router on the plain port (TPX-174). 502: that port is "
            "not reached. No answer: no DNS record, or port 443 is closed",
        )
        for address in sorted(addresses)
    )


def _token_check(rule: str, token_id: str, expected: str) -> Check:
    user, _, token = token_id.partition("!")
    return Check(
        id=rule,
        what=f"the token {token_id} has its privileges and no others",
        command=("pveum", "user", "token", "permissions", user, token),
        expected=expected,
        likely_cause=f"a token with separated privileges needs access of its own (TPX-201); {_PVESH}",
    )


def _trust(args: TraefikGatewayArgs) -> tuple[str, ...]:
    if args.plugin is None or args.plugin.ca_pem is None:
        return ()
    inner = "" if args.runtime is Runtime.COMPOSE else "/ca"
    return ("--cacert", f"{args.directory}{inner}/proxmox-ca.pem")
