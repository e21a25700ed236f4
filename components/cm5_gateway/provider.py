"""A gateway's registration on its hub as a resource (CM5-193, CM5-269). The class of the provider is a public name."""

from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi import dynamic
from pulumi.runtime.rpc import UNKNOWN

from ..provider_messages import one_sentence, warn
from .hub import Hub, HubError, Identity, Known, SilentError

__all__ = ["GatewayRegistration", "GatewayRegistrationProvider"]

_IDENTITY: Final = ("hub_url", "gateway_id")
"""Another gateway, or another hub: the old registration is not this one's."""
_COMPARED: Final = (*_IDENTITY, "machine_id", "eth0_mac", "eth1_mac", "token")
"""The administrator's token is a way and no property: another one changes nothing."""


class GatewayRegistrationProvider(dynamic.ResourceProvider):
    """Registers in `create` and `update`; everything else only asks. What it says lies in :mod:`.hub`."""

    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.CheckResult:
        """Refuse an identity that is not whole, and plain HTTP (CM5-192, CM5-193)."""
        failures = [
            dynamic.CheckFailure(key, "is missing: the hub wants machine_id and both hardware addresses (CM5-193)")
            for key in _COMPARED
            if news.get(key) in {None, ""}
        ]
        url = news.get("hub_url")
        if isinstance(url, str) and url != UNKNOWN and not url.startswith("https://"):
            failures.append(dynamic.CheckFailure("hub_url", "begins with https:// (CM5-192)"))
        return dynamic.CheckResult(news, failures)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Tell which properties differ; another gateway or hub is another registration."""
        changed = [key for key in _COMPARED if olds.get(key) != news.get(key)]
        return dynamic.DiffResult(changes=bool(changed), replaces=[key for key in changed if key in _IDENTITY])

    @one_sentence(HubError)
    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Register the gateway; one that is registered so already is left alone."""
        return dynamic.CreateResult(id_=str(props["gateway_id"]), outs=_registered(props))

    @one_sentence(HubError)
    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        """Ask the hub as the gateway would. One that it does not know is gone; silence leaves all as it was."""
        try:
            known = _hub(props).knows(_identity(props), str(props["token"]))
        except SilentError as error:
            warn(f"{error}; the registration is taken to be as it was")
            return dynamic.ReadResult(id_, dict(props))
        if known is Known.NO:
            warn(f"the hub {props['hub_url']} does not know {props['gateway_id']} with its token")
            return dynamic.ReadResult("", {})
        if known is Known.UNCLEAR:
            warn(f"the hub {props['hub_url']} does not tell whether it knows {props['gateway_id']}")
        return dynamic.ReadResult(id_, dict(props))

    @one_sentence(HubError)
    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Register it anew, as it is now."""
        return dynamic.UpdateResult(outs=_registered(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Forget it: the hub documents no way to remove a registration."""
        warn(f"{props['gateway_id']} stays registered on {props['hub_url']}: remove it in the hub's portal")


class GatewayRegistration(dynamic.Resource, module="factory", name="GatewayRegistration"):
    """A gateway that its hub knows: with its token, its machine and both hardware addresses (CM5-195, CM5-197)."""

    gateway_id: pulumi.Output[str]
    """Who it is on the hub."""

    def __init__(
        self,
        name: str,
        identity: Identity,
        *,
        hub_url: str,
        token: pulumi.Input[str],
        admin_token: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the registration.

        ``token`` is the gateway's own; ``admin_token`` is used only where something has to be registered.
        """
        super().__init__(
            GatewayRegistrationProvider(),
            name,
            {
                "hub_url": hub_url,
                "gateway_id": identity.gateway_id,
                "machine_id": identity.machine_id,
                "eth0_mac": identity.eth0_mac,
                "eth1_mac": identity.eth1_mac,
                "token": pulumi.Output.secret(token),
                "admin_token": pulumi.Output.secret(admin_token),
            },
            opts,
        )


def _registered(props: Mapping[str, Any]) -> dict[str, Any]:
    _hub(props).register(_identity(props), str(props["token"]), str(props["admin_token"]))
    return dict(props)


def _hub(props: Mapping[str, Any]) -> Hub:
    return Hub(str(props["hub_url"]))


def _identity(props: Mapping[str, Any]) -> Identity:
    return Identity(
        gateway_id=str(props["gateway_id"]),
        machine_id=int(props["machine_id"]),
        eth0_mac=str(props["eth0_mac"]),
        eth1_mac=str(props["eth1_mac"]),
    )
