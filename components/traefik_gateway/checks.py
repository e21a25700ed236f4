"""What to verify after a gateway was built, as data, from the machine outwards (section 14 of the requirements)."""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from ..app_stack.checks import Check
from ..host.checks import HostCheck
from .args_gateway import PluginArgs, Runtime, TraefikGatewayArgs
from .args_proxmox import ProxmoxConnection
from .render_gateway import NAME, UNIT, authority_path

__all__ = ["gateway_checks", "machine_checks", "notes_checks", "route_checks"]

_PVESH = "run it on a node of the cluster"
_STATUS = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}")
_MOVED: Final = 301
_UNAUTHORIZED: Final = 401

_NO_ERROR: Final = (
    'found=$("$@" 2>&1) || exit 2; found=$(echo "$found" | grep -i -e plugin -e proxmox); '
    'echo "$found" | tail -n 5; ! echo "$found" | grep -q -i -w -e error -e ERR'
)
"""A shell script: the command it is given has said nothing of an error of the plugin."""
_TRUSTED: Final = """\
import http.client, ssl, sys, urllib.parse
place, authority = urllib.parse.urlsplit(sys.argv[1]), ssl.create_default_context(cafile=sys.argv[2])
connection = http.client.HTTPSConnection(place.netloc, timeout=8, context=authority)
connection.request("GET", place.path)
print(connection.getresponse().status)
"""
"""A program: what a page answers whose certificate only this authority makes valid. Its interpreter is the agent's."""


def machine_checks(args: TraefikGatewayArgs) -> dict[str, HostCheck]:
    """List what must hold on the gateway's machine, for `./factory doctor hosts`."""
    return {name: check for name, _, check in _on_the_machine(args)}


def gateway_checks(args: TraefikGatewayArgs) -> tuple[Check, ...]:
    """List the same as a person asks it on the machine, and the rights of the plugin's token."""
    found = [
        Check(name[: name.index("-", 4)], what, _by_hand(check), _expected(check), check.likely_cause)
        for name, what, check in _on_the_machine(args)
    ]
    if args.plugin is not None:
        found.append(_token_check("TPX-216", args.plugin.token_id, "VM.Audit and Sys.Audit"))
    return tuple(found)


def _on_the_machine(args: TraefikGatewayArgs) -> Iterator[tuple[str, str, HostCheck]]:
    compose = args.runtime is Runtime.COMPOSE
    running = ("docker", "inspect", "--format", "{{.State.Status}}", NAME)
    cause = f"a port is taken, or the static configuration is refused: {' '.join(_logs(args))}"
    yield (
        "TPX-181-traefik",
        "Traefik runs",
        HostCheck(command=running, contains="running", likely_cause=cause)
        if compose
        else HostCheck(unit=UNIT, likely_cause=cause),
    )
    yield (
        "TPX-186-certificates",
        "the certificates' file is Traefik's alone",
        HostCheck(
            command=("stat", "--format", "%F %a", f"{args.directory}/acme.json"),
            # Of a regular file, and of a regular empty one.
            contains="file 600",
            likely_cause="a container that started before the file was there made a directory of it: remove that",
        ),
    )
    yield (
        "TPX-218-redirection",
        "plain HTTP leads to HTTPS",
        HostCheck(
            http=f"http://127.0.0.1:{args.http_port}/",
            status=_MOVED,
            likely_cause="another program listens on that port, or Traefik does not run",
        ),
    )
    if args.plugin is not None:
        yield from _plugin(args, args.plugin)


def _plugin(args: TraefikGatewayArgs, plugin: PluginArgs) -> Iterator[tuple[str, str, HostCheck]]:
    yield (
        "TPX-212-plugin",
        "the plugin was loaded and says nothing of an error",
        HostCheck(
            command=("sh", "-c", _NO_ERROR, "sh", *_logs(args)),
            likely_cause="the plugin could not be downloaded, or its token is wrong (TPX-223): see the next checks",
        ),
    )
    # It answers, and wants a token.
    url, cause = f"{plugin.endpoint}/api2/json/version", "the firewall, the address, or another authority than given"
    yield (
        "TPX-214-api",
        "the gateway reaches the API of the cluster and trusts it",
        HostCheck(http=url, status=_UNAUTHORIZED, likely_cause=cause)
        if plugin.ca_pem is None
        else HostCheck(
            command=("python3", "-c", _TRUSTED, url, authority_path(args)),
            contains=str(_UNAUTHORIZED),
            likely_cause=cause,
        ),
    )


def _logs(args: TraefikGatewayArgs) -> tuple[str, ...]:
    """Give the command that shows what Traefik said lately."""
    if args.runtime is Runtime.COMPOSE:
        return ("docker", "logs", "--since", "10m", NAME)
    return ("journalctl", "--unit", NAME, "--since", "-10min", "--output", "cat")


def _by_hand(check: HostCheck) -> tuple[str, ...]:
    """Write as a command what the machine's agent asks without one."""
    if check.unit is not None:
        return ("systemctl", "is-active", check.unit)
    return check.command or (*_STATUS, check.http or "")


def _expected(check: HostCheck) -> str:
    if check.unit is not None:
        return "active"
    return check.contains or (str(check.status) if check.http else "exit status 0")


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
