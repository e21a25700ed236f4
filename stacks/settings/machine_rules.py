"""Rules on the machines: their logins and secrets, what their roles claim, what a gateway's parts say of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.host.claims import conflicts
from components.host.machine_args import LOGIN_SECRETS
from components.host.remote_host import Sudo

from .draft import Draft
from .explain import split_advice
from .needs import CM5_GATEWAY, PROXMOX, TRAEFIK_GATEWAY
from .problems import Problem, did_you_mean

if TYPE_CHECKING:
    from components.cm5_gateway import CM5GatewayArgs
    from components.traefik_gateway.args_gateway import TraefikGatewayArgs
    from components.traefik_gateway.args_notes import ProxmoxNotesArgs

__all__ = ["MACHINE_RULES"]


def _hosts(draft: Draft) -> Iterator[Problem]:
    declared: Mapping[str, frozenset[str]] = draft.valid.get("host_secrets", {})
    sections = {CM5_GATEWAY, TRAEFIK_GATEWAY, PROXMOX} & draft.raw.keys()
    for name, fix in draft.unknown("hosts", [name for name in declared if name not in sections]):
        yield draft.problem(("host_secrets", name), "no such host", fix)
    for name, machine in draft.hosts.items():
        if machine.connection is None:
            rule = "is required unless the backends are embedded"
            yield draft.problem(("hosts", name, "connection"), rule, "Say how the machine is reached")
        unknown = f"is in no `contents` of `factory:hosts.{name}`"
        yield from _secrets(draft, name, machine.secrets, unknown=unknown, whose=f"the host {name}")


def _secrets(draft: Draft, name: str, wanted: frozenset[str], *, unknown: str, whose: str) -> Iterator[Problem]:
    """Compare the secrets given for a machine with those it needs; what opens it may stand there in any case."""
    given: frozenset[str] = draft.valid.get("host_secrets", {}).get(name, frozenset())
    known = dict.fromkeys([*wanted, *LOGIN_SECRETS])
    for key in sorted(given - known.keys()):
        yield draft.problem(("host_secrets", name, key), unknown, did_you_mean(key, known))
    for key in sorted(wanted - given):
        yield draft.missing_secret(("host_secrets", name, key), f"missing secret: {whose} needs it")


def _roles(draft: Draft) -> Iterator[Problem]:
    """Two roles of one machine, under whatever names it is described, cannot both have one thing."""
    before: list[tuple[object, str, Mapping[str, Any]]] = []
    for name, machine in draft.hosts.items():
        place = machine.connection.identity if machine.connection else name
        for role, args in machine.roles.items():
            document = args.document()
            for other_place, other, theirs in before:
                for claim in conflicts(document, theirs) if place == other_place else ():
                    path = ("hosts", name, "roles", role, claim.kind, claim.key)
                    rule = f"is also claimed by the role {other} of this machine"
                    yield draft.problem(path, rule, "Keep it in one of the two")
            before.append((place, f"{name}.{role}", document))


def _cm5_gateway(draft: Draft) -> Iterator[Problem]:
    """Judge what the gateway's own model cannot: its secrets, and what follows from all of its values together."""
    args: CM5GatewayArgs | None = draft.valid.get(CM5_GATEWAY)
    if args is None:
        return
    from components.cm5_gateway import Gateway, GatewayError  # noqa: PLC0415 - only if the section is present

    try:
        Gateway.of(args)
    except GatewayError as error:
        for message in error.problems:
            yield draft.problem((CM5_GATEWAY,), *split_advice(message))
    unknown = f"no part of `factory:{CM5_GATEWAY}` names it"
    yield from _secrets(draft, CM5_GATEWAY, args.secrets, unknown=unknown, whose="the gateway")


def _gateway_logins(draft: Draft) -> Iterator[Problem]:
    """Judge the secrets that open the gateway's machine and the guests: they have no others."""
    gateway: TraefikGatewayArgs | None = draft.valid.get(TRAEFIK_GATEWAY)
    asked = gateway is not None and gateway.host.sudo is Sudo.PASSWORD
    for section, wanted in ((TRAEFIK_GATEWAY, {"sudo_password"} if asked else set[str]()), (PROXMOX, set[str]())):
        if draft.valid.get(section) is not None:
            unknown = f"opens no machine of `factory:{section}`"
            yield from _secrets(draft, section, frozenset(wanted), unknown=unknown, whose="the gateway")


def _gateway(draft: Draft) -> Iterator[Problem]:
    """TPX-200: whoever takes the gateway must not be able to write."""
    gateway: TraefikGatewayArgs | None = draft.valid.get(TRAEFIK_GATEWAY)
    notes: ProxmoxNotesArgs | None = draft.valid.get(PROXMOX)
    if gateway is None or gateway.plugin is None or notes is None:
        return
    if gateway.plugin.token_id == notes.token_id:
        where = (TRAEFIK_GATEWAY, "plugin", "token_id")
        rule = "is the token that writes notes (TPX-200)"
        yield draft.problem(where, rule, "Make a token that can only read", value=notes.token_id)
    if gateway.plugin.version != notes.plugin_version:
        rule = "is not what the gateway runs, so predictions would be wrong"
        fix = "Write the version of `traefik_gateway.plugin`"
        yield draft.problem((PROXMOX, "plugin_version"), rule, fix, value=notes.plugin_version)


MACHINE_RULES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    _hosts,
    _roles,
    _cm5_gateway,
    _gateway,
    _gateway_logins,
)
