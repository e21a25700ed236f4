"""A machine of a site under mocks: one state per role, its login secret, its secret files where they belong."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.host.component import FactoryProvider
from components.host.machine import Machine
from components.host.machine_args import MachineArgs
from tests.support.mocks import Graph, build

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43
STATE = "factory-host:index:HostState"
MACHINE: dict[str, Any] = {
    "connection": {"address": "gateway.example.test", "user": "deployer", "host_key": HOST_KEY, "sudo": "password"},
    "roles": {
        "web": {"files": {"/etc/web/token": {"secret": True}, "/etc/web/site.conf": {"content": "listen 80\n"}}},
        "clock": {"packages": {"chrony": {}}},
    },
    "contents": {"/etc/web/token": "WEB_TOKEN"},
}
SECRETS = {"sudo_password": "hunter2", "WEB_TOKEN": "hunter3", "unused": "x"}


def declared(args: dict[str, Any], secrets: dict[str, str]) -> Graph:
    def program() -> dict[str, Any]:
        opts = pulumi.ResourceOptions(providers=[FactoryProvider("factory")])
        given = {name: pulumi.Output.secret(value) for name, value in secrets.items()}
        return {"roles": Machine("gateway", MachineArgs.model_validate(args), secrets=given, opts=opts).roles}

    return build(program)


def test_each_role_is_a_state_of_its_own_on_the_same_connection() -> None:
    graph = declared(MACHINE, SECRETS)
    web, clock = graph.one(STATE, "gateway.web"), graph.one(STATE, "gateway.clock")
    assert (web.get("role"), clock.get("role")) == ("web", "clock")
    assert web.get("host") == clock.get("host")
    assert web.get("host.address") == "gateway.example.test"
    assert clock.get("desired.packages.chrony.state") == "present"
    assert "Machine" in str(web.parent)


def test_secrets_stay_secret_and_reach_only_what_needs_them() -> None:
    graph = declared(MACHINE, SECRETS)
    web, clock = graph.one(STATE, "gateway.web"), graph.one(STATE, "gateway.clock")
    assert web.is_secret("credentials.sudo_password")
    assert web.is_secret("desired.files./etc/web/token.content")
    assert "hunter3" not in str(clock.inputs)
    assert "unused" not in str(web.inputs)


def test_a_missing_secret_or_connection_is_named_before_anything_is_declared() -> None:
    with pytest.raises(Exception, match="host gateway: no value is given for WEB_TOKEN"):
        declared(MACHINE, {"sudo_password": "x"})
    with pytest.raises(Exception, match="host gateway: `connection` must be given"):
        declared({"roles": {"clock": MACHINE["roles"]["clock"]}}, {})
