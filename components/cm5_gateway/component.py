"""A home-automation gateway, whole."""

import asyncio
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pulumi

from ..host import Credentials, HostFacts, HostState, HostStateArgs
from ..options import child_options
from .args import LOGIN_SECRETS, CM5GatewayArgs
from .checks import as_data, checklist, wan_checklist
from .formats import digest
from .gateway import Facts, Gateway, GatewayError
from .hub import Identity
from .preconditions import preconditions
from .render import roles
from .render_containers import secret_mark
from .render_edge import AUTHORITY_FILE, VAULT_AUTHORITY, VAULT_SITE, authority_directory
from .role import Role, SecretFile

if TYPE_CHECKING:
    from .vault_ca import VaultAuthority

__all__ = ["CM5Gateway"]


class CM5Gateway(pulumi.ComponentResource):
    """The gateway's subsystems, each one `HostState` that waits for what it really needs (section 5.3).

    A change touches the subsystem it belongs to and, if a container has to read it again, the one that starts them.
    """

    lan_address: pulumi.Output[str]
    """The address that every server of the LAN side is bound to (CM5-205)."""
    wan_domain: pulumi.Output[str]
    """The public name in effect (CM5-62)."""
    gateway_id: pulumi.Output[str]
    """Identity on the hub (CM5-75)."""
    local_ca_certificate: pulumi.Output[str] | None
    """Certificate of the gateway's own authority in PEM, for the clients; without its key (CM5-268)."""
    listeners: pulumi.Output[list[dict[str, Any]]]
    """Who listens where: ``name``, ``address``, ``port``, ``protocol``, ``open_to``."""
    compose_hash: pulumi.Output[str]
    """Changes whenever a container is made anew (CM5-271)."""
    versions: pulumi.Output[Mapping[str, str]]
    """Images by container, and the product's version."""
    checks: pulumi.Output[list[dict[str, object]]]
    """What to verify, in order (CM5-276)."""

    def __init__(
        self,
        name: str,
        args: CM5GatewayArgs,
        *,
        secrets: Mapping[str, pulumi.Input[str]] | None = None,
        protect: bool | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the gateway ``name``.

        ``secrets`` are the values of ``args.secrets``, and those that open the machine. ``protect`` refuses the removal
        of the disk and of the authority (CM5-275). Raises :class:`GatewayError` for what cannot be and ValueError for a
        missing secret, before anything is registered.
        """
        gateway = Gateway.of(args)
        given = dict(secrets or {})
        if missing := sorted(args.secrets - given.keys()):
            message = f"gateway {name}: no value is given for {', '.join(missing)}"
            raise ValueError(message)
        super().__init__("factory:cm5:CM5Gateway", name, None, opts)
        if args.traefik.acme is not None and args.traefik.acme.use_staging:
            pulumi.log.warn("certificates come from the staging authority, which no client trusts (CM5-217)", self)
        credentials = Credentials(**{key: given[key] for key in LOGIN_SECRETS if key in given})
        found = HostFacts(
            f"{name}.facts",
            gateway.connection,
            preconditions(gateway),
            credentials=credentials,
            opts=child_options(self, opts),
        )
        kept = _in_vault(name, gateway, child_options(self, opts), protect=protect)
        if kept is not None:
            given |= {VAULT_AUTHORITY: kept.certificate, VAULT_SITE: kept.site}
        device = found.found.apply(partial(_as_found, args))
        planned: pulumi.Output[dict[str, Role]] = device.apply(roles)
        states, secret_texts = dict[str, HostState](), dict[str, dict[str, pulumi.Output[str]]]()
        described = roles(gateway)
        for file in described["compose"].secret_files.values():
            _make_marks(gateway.product, _secret_values(file, given))
        for role, plan in described.items():
            secret_texts[role] = _contents(planned, role, plan, given)
            states[role] = HostState(
                f"{name}.{role}",
                gateway.connection,
                role,
                planned.apply(partial(_desired, role)),
                credentials=credentials,
                contents=secret_texts[role],
                opts=child_options(
                    self,
                    opts,
                    after=[found, *(states[other] for other in plan.after)],
                    protect=plan.protect and protect,
                ),
            )
        _register(name, gateway, given, child_options(self, opts, after=[states["compose"]]))
        path = gateway.compose_file
        compose = secret_texts["compose"].get(path) or planned.apply(partial(_text, "compose", path))
        connected = child_options(self, opts, after=[states["tls"]] if "tls" in states else [])
        authority = kept.certificate if kept else None
        if authority is None and "tls" in states:
            authority = _authority(name, gateway, credentials, connected)
        self._expose(device, compose, authority)

    def _expose(
        self, device: pulumi.Output[Gateway], compose: pulumi.Output[str], authority: pulumi.Output[str] | None
    ) -> None:
        self.lan_address = device.apply(attrgetter("lan_address"))
        self.wan_domain = device.apply(attrgetter("wan_domain"))
        self.gateway_id = device.apply(attrgetter("gateway_id"))
        self.local_ca_certificate = authority
        self.listeners = device.apply(lambda gateway: [each.as_data() for each in gateway.listeners])
        self.compose_hash = compose.apply(digest)
        self.versions = device.apply(attrgetter("versions"))
        self.checks = device.apply(lambda gateway: as_data({**checklist(gateway), **wan_checklist(gateway)}))
        self.register_outputs(self.outputs())

    def outputs(self) -> dict[str, pulumi.Output[Any]]:
        """Give every output by its documented name (CM5-271)."""
        found = {
            "lan_address": self.lan_address,
            "wan_domain": self.wan_domain,
            "gateway_id": self.gateway_id,
            "local_ca_certificate": self.local_ca_certificate,
            "listeners": self.listeners,
            "compose_hash": self.compose_hash,
            "versions": self.versions,
            "checks": self.checks,
        }
        return {name: value for name, value in found.items() if value is not None}


def _in_vault(
    name: str, gateway: Gateway, opts: pulumi.ResourceOptions, *, protect: bool | None
) -> "VaultAuthority | None":
    """Make the authority in Vault, if it is kept there."""
    args, host = gateway.args.local_ca, gateway.mdns_name
    if args is None or host is None or not args.in_vault:
        return None
    from .vault_ca import VaultAuthority  # noqa: PLC0415 - a gateway with an authority of its own needs no Vault

    return VaultAuthority(f"{name}.authority", args, product=gateway.product, host=host, protect=protect, opts=opts)


def _register(
    name: str, gateway: Gateway, secrets: Mapping[str, pulumi.Input[str]], opts: pulumi.ResourceOptions
) -> None:
    """Register the gateway on its hub, if that is asked for: last, for a silent hub keeps nobody from the rest."""
    args, cloud, segment = gateway.args, gateway.args.cloud, gateway.segment
    if args.registration is None or cloud is None or segment is None:
        return
    from .provider import GatewayRegistration  # noqa: PLC0415 - a gateway that registers nowhere needs none of it

    GatewayRegistration(
        f"{name}.registration",
        Identity(gateway.gateway_id, cloud.machine_id, args.lan.mac, segment.mac),
        hub_url=cloud.hub_url,
        token=secrets[cloud.token],
        admin_token=secrets[args.registration.admin_token],
        opts=opts,
    )


def _authority(
    name: str, gateway: Gateway, credentials: Credentials, opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Read the authority's certificate, which stays the same once it is made."""
    from pulumi_command import remote  # noqa: PLC0415 - a gateway without an authority needs no such package

    from ..host import command_connection  # noqa: PLC0415 - the same

    directory = authority_directory(gateway)
    return remote.Command(
        f"{name}.authority",
        connection=command_connection(gateway.connection, credentials),
        create=f"cat {directory}/{AUTHORITY_FILE}",
        triggers=[directory],
        opts=opts,
    ).stdout


def _as_found(args: CM5GatewayArgs, found: Mapping[str, str] | None) -> Gateway:
    """Judge the description together with what the device said, as far as it was asked (CM5-171)."""
    try:
        return Gateway.of(args, Facts.of(found or {}))
    except GatewayError as error:
        raise _refused(error) from None


def _desired(role: str, planned: Mapping[str, Role]) -> HostStateArgs:
    return planned[role].desired


def _text(role: str, path: str, planned: Mapping[str, Role]) -> str:
    return planned[role].desired.files[path].content or ""


def _contents(
    planned: pulumi.Output[dict[str, Role]], role: str, plan: Role, secrets: Mapping[str, pulumi.Input[str]]
) -> dict[str, pulumi.Output[str]]:
    """Make the texts of a role's secret files, once the secrets and the device are known."""
    found: dict[str, pulumi.Output[str]] = {}
    for path, file in plan.secret_files.items():
        both = pulumi.Output.all(planned, _secret_values(file, secrets))
        text: pulumi.Output[str] = both.apply(partial(_written, role, path))
        found[path] = pulumi.Output.unsecret(text) if file.public else text
    return found


def _secret_values(file: SecretFile, secrets: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[dict[str, str]]:
    return pulumi.Output.all(**{name: pulumi.Output.secret(secrets[name]) for name in sorted(file.secrets)})


def _make_marks(product: str, values: pulumi.Output[dict[str, str]]) -> pulumi.Output[list[str]]:
    """Have the costly marks of secrets made while the device is asked: ``compose`` needs them next."""

    async def made(known: dict[str, str]) -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(secret_mark, product, *pair) for pair in known.items()))

    return values.apply(made)


def _written(role: str, path: str, known: tuple[Mapping[str, Role], Mapping[str, str]]) -> str:
    planned, values = known
    try:
        return planned[role].secret_files[path].text(values)
    except ValueError as error:
        raise _refused(error) from None


def _refused(error: ValueError) -> pulumi.RunError:
    """Say it in one sentence: of any other error in an output the engine prints a traceback."""
    return pulumi.RunError(f"the home-automation gateway: {error}")
