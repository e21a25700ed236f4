"""A gateway that faces the Internet, and the notes it makes its routes of."""

from collections.abc import Mapping
from typing import Any

import pulumi

from ..app_stack.checks import as_data
from ..host.component import HostState
from ..host.credentials import Credentials
from ..options import child_options
from .args_gateway import TraefikGatewayArgs
from .args_notes import ProxmoxNotesArgs
from .checks import gateway_checks, notes_checks, route_checks
from .provider import ProxmoxNotes
from .render_gateway import (
    NAME,
    compose_project,
    desired_state,
    firewall_hints,
    static_configuration,
    static_path,
    written,
)

__all__ = ["TraefikGateway"]


class TraefikGateway(pulumi.ComponentResource):
    """Traefik on a machine of its own, by :class:`~components.host.HostState`, and the notes of a cluster's guests.

    The gateway never talks to the guests to find services, only to the API of the cluster (TPX-03).
    """

    static_configuration: pulumi.Output[str]
    """The static configuration, without the token's secret."""
    compose: pulumi.Output[str] | None
    """The Compose project; none where Traefik is a service of the machine."""
    routes: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """What the gateway makes of the notes of all guests: public addresses by guest and router."""
    firewall: pulumi.Output[list[dict[str, Any]]]
    """What must be let through, in and out."""
    checks: pulumi.Output[list[dict[str, object]]]
    """What to verify, in order (section 14)."""

    def __init__(
        self,
        name: str,
        args: TraefikGatewayArgs,
        notes: ProxmoxNotesArgs | None = None,
        *,
        reader_secret: pulumi.Input[str] | None = None,
        writer_secret: pulumi.Input[str] | None = None,
        credentials: Credentials | None = None,
        guest_credentials: Credentials | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Build the gateway ``name``.

        ``reader_secret`` is the secret of the plugin's token, ``writer_secret`` of the one that writes ``notes``; two
        tokens, so that whoever takes the gateway cannot write (TPX-200). ``credentials`` open the gateway's machine,
        ``guest_credentials`` the guests'. Raises ValueError when a secret is missing, or the tokens are one.
        """
        _require_secrets(args, notes, reader_secret, writer_secret)
        super().__init__("factory:traefik:TraefikGateway", name, None, opts)
        child = child_options(self, opts)
        secret = pulumi.Output.from_input("" if reader_secret is None else reader_secret)
        content = secret.apply(lambda token: written(static_configuration(args, token)))
        HostState(
            name,
            args.host,
            NAME,
            desired_state(args),
            credentials=credentials,
            contents={static_path(args): pulumi.Output.secret(content)},
            opts=child,
        )
        self.routes = pulumi.Output.from_input({})
        if notes is not None and writer_secret is not None:
            written_notes = ProxmoxNotes(
                f"{name}-notes", notes, token_secret=writer_secret, credentials=guest_credentials, opts=child
            )
            self.routes = written_notes.routes
        first = (*gateway_checks(args), *(notes_checks(notes) if notes else ()))
        self.checks = self.routes.apply(lambda routes: as_data((*first, *route_checks(routes or {}))))
        self.static_configuration = pulumi.Output.from_input(written(static_configuration(args)))
        self.compose = pulumi.Output.from_input(written(compose_project(args))) if args.release is None else None
        self.firewall = pulumi.Output.from_input(firewall_hints(args, _machines(notes)))
        self.register_outputs(self.outputs())

    def outputs(self) -> dict[str, pulumi.Output[Any]]:
        """Give every output by its name, for a stack's exports."""
        found: dict[str, pulumi.Output[Any] | None] = {
            "static_configuration": self.static_configuration,
            "compose": self.compose,
            "routes": self.routes,
            "firewall": self.firewall,
            "checks": self.checks,
        }
        return {name: value for name, value in found.items() if value is not None}


def _machines(notes: ProxmoxNotesArgs | None) -> dict[str, int]:
    """Give the guests' addresses and the ports of their own Traefik."""
    if notes is None:
        return {}
    hosts = {name: guest.host.address for name, guest in notes.guests.items() if guest.host is not None}
    return {address: notes.options_of(name).traefik_local_port for name, address in hosts.items()}


def _require_secrets(
    args: TraefikGatewayArgs,
    notes: ProxmoxNotesArgs | None,
    reader_secret: pulumi.Input[str] | None,
    writer_secret: pulumi.Input[str] | None,
) -> None:
    if args.plugin is not None and reader_secret is None:
        message = f"the secret of the plugin's token {args.plugin.token_id} is missing: give reader_secret"
        raise ValueError(message)
    if notes is not None and writer_secret is None:
        message = f"the secret of the token {notes.token_id}, which writes the notes, is missing: give writer_secret"
        raise ValueError(message)
    if args.plugin is not None and notes is not None and args.plugin.token_id == notes.token_id:
        message = f"the plugin would read with {notes.token_id}, which can write: give it a token of its own (TPX-200)"
        raise ValueError(message)
