"""The resource of a role: what the program sends to the provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.host import Credentials, FactoryProvider, HostState, HostStateArgs, RemoteHost
from tests.support.mocks import Graph, Node, build

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"
HOST = RemoteHost(address="node.example.test", user="op", host_key=KEY)
DESIRED = HostStateArgs.model_validate(
    {
        "files": {"/etc/motd": {"content": "hello\n"}, "/etc/app/key": {"mode": "0600", "secret": True}},
        "steps": {"login": {"run": ["login"], "once_for": "1"}},
    }
)
TOKEN = "factory-host:index:HostState"


def graph(given: Callable[[], dict[str, Any]] = dict) -> Graph:
    def program() -> dict[str, Any]:
        arguments = {"host": HOST, "opts": pulumi.ResourceOptions(provider=FactoryProvider("hosts")), **given()}
        made = HostState("motd", role="base", desired=DESIRED, **arguments)
        return {"summary": made.summary}

    return build(program, computed=lambda type_, *_: {"summary": {"files": 1}} if type_ == TOKEN else {})


def state(given: Callable[[], dict[str, Any]] = dict) -> Node:
    return graph(given).one(TOKEN, "motd")


def test_the_documents_are_the_inputs() -> None:
    node = state()
    assert node.get("role") == "base"
    assert node.inputs["desired"] == DESIRED.document()
    assert node.inputs["host"] == HOST.model_dump(mode="json", exclude_none=True)
    assert node.inputs["credentials"] == {}


def test_outputs_and_the_explicit_provider() -> None:
    built = graph()
    assert built.exports["summary"] == {"files": 1}
    assert built.one("pulumi:providers:factory-host").inputs == {}
    assert built.one(TOKEN).provider == built.one("pulumi:providers:factory-host").urn


def test_a_secret_stays_one_wherever_it_goes_and_hides_only_itself() -> None:
    node = state(
        lambda: {
            "credentials": Credentials(private_key="k", sudo_password=pulumi.Output.secret("s")),
            "contents": {"/etc/app/key": pulumi.Output.secret("canary")},
            "stdin": {"login": pulumi.Output.secret("canary")},
        }
    )
    assert node.inputs["credentials"] == {"private_key": {"secret": "k"}, "sudo_password": {"secret": "s"}}
    assert node.inputs["desired"]["files"]["/etc/app/key"]["content"] == {"secret": "canary"}
    assert node.inputs["desired"]["steps"]["login"]["stdin"] == {"secret": "canary"}
    assert node.inputs["desired"]["files"]["/etc/motd"]["content"] == "hello\n"


def moved(address: str) -> RemoteHost:
    return HOST.model_copy(update={"address": address})


def test_a_host_can_be_another_resource_s_output() -> None:
    node = state(lambda: {"host": pulumi.Output.from_input("10.0.0.9").apply(moved)})
    assert node.get("host.address") == "10.0.0.9"


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"contents": {"/etc/other": "x"}}, "'/etc/other', which the document does not have"),
        ({"contents": {"/etc/motd": "x"}}, "content of files '/etc/motd' is given twice"),
        ({"stdin": {"other": "x"}}, "stdin is given for steps 'other'"),
    ],
)
def test_a_value_without_a_place_is_refused(given: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        graph(lambda: given)
