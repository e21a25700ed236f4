"""Registration on the hub, against a local one over TLS: once, again where something differs, and never guessed."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.cm5_gateway.hub import Hub as HubClient
from components.cm5_gateway.hub import HubError, Identity, Known, SilentError
from components.cm5_gateway.provider import GatewayRegistrationProvider
from tests.support.hub import ADMIN, Hub, hub

TOKEN = "token-of-the-gateway"
IDENTITY = Identity("gw-02005e005301", 7, "02:00:5e:00:53:01", "02:00:5e:00:53:02")


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that this machine trusts."""
    with hub(tmp_path) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
        yield running
    sys.__dict__.pop("tracebacklimit", None)


@dataclass
class Stack:
    """The engine's part: refresh, check, compare, create, update or replace, and the state."""

    url: str
    provider: GatewayRegistrationProvider = field(default_factory=GatewayRegistrationProvider)
    state: dict[str, Any] = field(default_factory=dict)

    def values(self, **changes: Any) -> dict[str, Any]:
        identity = {name: getattr(IDENTITY, name) for name in Identity.__slots__}
        return {"hub_url": self.url, **identity, "token": TOKEN, "admin_token": ADMIN, **changes}

    def up(self, **changes: Any) -> str:
        """Bring it up; what was done."""
        news = self.values(**changes)
        if self.state:
            read = self.provider.read("x", dict(self.state))
            self.state = read.outs or {}
        checked = self.provider.check({}, news)
        assert checked.failures == []
        if not self.state:
            self.state = self.provider.create(news).outs or {}
            return "create"
        diff = self.provider.diff("x", self.state, news)
        if not diff.changes:
            return "same"
        if diff.replaces:
            old, self.state = self.state, self.provider.create(news).outs or {}
            self.provider.delete("x", old)
            return "replace"
        self.state = self.provider.update("x", self.state, news).outs or {}
        return "update"


@pytest.fixture
def stack(portal: Hub) -> Stack:
    return Stack(portal.url)


def test_a_gateway_is_registered_once(portal: Hub, stack: Stack) -> None:
    """CM5-193: with the documented body; CM5-269: a second run writes nothing."""
    assert stack.up() == "create"
    assert portal.registered == {
        "gw-02005e005301": {
            "gateway_id": "gw-02005e005301",
            "token": TOKEN,
            "machine_id": 7,
            "eth0_mac": "02:00:5e:00:53:01",
            "eth1_mac": "02:00:5e:00:53:02",
        }
    }
    assert stack.up() == "same"
    assert stack.up(admin_token="another administrator's") == "same"
    assert portal.writes == 1


def test_an_emptied_state_finds_its_registration(portal: Hub, stack: Stack) -> None:
    stack.up()
    portal.conflicts = True
    assert Stack(portal.url).up() == "create"
    assert list(portal.registered) == ["gw-02005e005301"]


def test_what_differs_is_registered_anew(portal: Hub, stack: Stack) -> None:
    stack.up()
    assert stack.up(token="rotated") == "update"
    assert stack.up(token="rotated", machine_id=8) == "update"
    entry = portal.registered["gw-02005e005301"]
    assert (entry["token"], entry["machine_id"]) == ("rotated", 8)
    assert portal.writes == 3


def test_another_gateway_is_another_registration(portal: Hub, stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.up()
    assert stack.up(gateway_id="gw-other") == "replace"
    assert list(portal.registered) == ["gw-02005e005301", "gw-other"]
    assert "gw-02005e005301 stays registered" in capsys.readouterr().err


def test_a_registration_that_the_hub_lost_is_made_again(
    portal: Hub, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Drift: removed in the portal, or given another token there."""
    stack.up()
    portal.registered.clear()
    assert stack.up() == "create"
    portal.registered["gw-02005e005301"]["token"] = "changed in the portal"
    assert stack.up() == "create"
    assert portal.registered["gw-02005e005301"]["token"] == TOKEN
    assert "does not know gw-02005e005301 with its token" in capsys.readouterr().err


@pytest.mark.parametrize("status", [404, 500, 302])
def test_a_hub_that_does_not_tell_changes_nothing(
    status: int, portal: Hub, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.up()
    portal.says = status
    assert stack.up() == "same"
    assert "does not tell whether it knows" in capsys.readouterr().err
    assert portal.writes == 1


def test_a_silent_hub_keeps_the_state_and_says_so(
    portal: Hub, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.up()
    stack.state["hub_url"] = stack.url = "https://127.0.0.1:9"
    assert stack.up() == "same"
    assert "the hub https://127.0.0.1:9 does not answer: " in capsys.readouterr().err
    stack.state = {}
    with pytest.raises(RuntimeError, match="does not answer"):
        stack.up()
    assert portal.writes == 1


def test_a_hub_that_cannot_be_trusted_gets_no_token(portal: Hub, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """CM5-211"""
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(RuntimeError, match="CERTIFICATE_VERIFY_FAILED"):
        stack.up()
    assert portal.requests == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the admin token is not valid or has expired: set a fresh one"),
        (403, "may not register gateways"),
        (404, "is this version of the hub deployed"),
        (302, "HTTP 302"),
        (500, "it says 500"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(status: int, said: str, portal: Hub, stack: Stack) -> None:
    portal.says = status
    with pytest.raises(RuntimeError) as refused:
        stack.up()
    assert said in str(refused.value)
    assert f"{portal.url} does not register gw-02005e005301" in str(refused.value)
    assert TOKEN not in str(refused.value)
    assert ADMIN not in str(refused.value)
    assert [path for path, _ in portal.requests] == ["/api/portal/admin/gateways/register"]


@pytest.mark.parametrize("ending", ["\n", "\u20ac"])
def test_a_token_that_no_header_can_hold_is_told_without_it(ending: str, portal: Hub, stack: Stack) -> None:
    """CM5-211: a secret that was set from a file has its line end; Python's own error would print the header."""
    stack.up()
    steps = (
        lambda: stack.up(admin_token=f"{ADMIN}{ending}", machine_id=8),
        lambda: HubClient(portal.url).knows(IDENTITY, f"{TOKEN}{ending}"),
        lambda: stack.provider.read("x", stack.values(token=f"{TOKEN}{ending}")),
    )
    for step in steps:
        with pytest.raises((RuntimeError, HubError), match="a token holds a line end") as refused:
            step()
        assert TOKEN not in str(refused.value)
        assert ADMIN not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__


@pytest.mark.parametrize("broken", [http.client.BadStatusLine("x"), http.client.IncompleteRead(b"")], ids=str)
def test_a_hub_that_speaks_no_http_is_silent(broken: Exception) -> None:
    def send(*_given: object) -> NoReturn:
        raise broken

    with pytest.raises(SilentError, match="does not answer"):
        HubClient("https://hub.example.test", send).knows(IDENTITY, TOKEN)


def test_a_gateway_that_is_somebody_elses_is_not_taken(portal: Hub, stack: Stack) -> None:
    portal.conflicts = True
    portal.registered["gw-02005e005301"] = {"token": "theirs", "eth0_mac": "", "eth1_mac": ""}
    with pytest.raises(RuntimeError, match="with another token: give that one, or remove the gateway in the portal"):
        stack.up()


@pytest.mark.parametrize("key", ["gateway_id", "machine_id", "eth0_mac", "eth1_mac", "token"])
def test_the_identity_is_whole(key: str, stack: Stack) -> None:
    """CM5-193: nothing of it may be missing."""
    for value in (None, ""):
        failures = stack.provider.check({}, stack.values(**{key: value})).failures
        assert [failure.property for failure in failures] == [key]


def test_the_channel_is_never_plain_http(stack: Stack) -> None:
    """CM5-192"""
    failures = stack.provider.check({}, stack.values(hub_url="http://hub.example.test")).failures
    assert [failure.property for failure in failures] == ["hub_url"]
    assert stack.provider.check({}, stack.values(hub_url=UNKNOWN, token=UNKNOWN)).failures == []


def test_a_heartbeat_is_judged_by_its_token_alone(portal: Hub) -> None:
    """CM5-194, CM5-212: an unknown token is refused; what is said about its content is not about the gateway."""
    client = HubClient(portal.url)
    assert client.knows(IDENTITY, TOKEN) is Known.NO
    client.register(IDENTITY, TOKEN, ADMIN)
    assert client.knows(IDENTITY, TOKEN) is Known.YES
    assert client.knows(IDENTITY, "wrong") is Known.NO
    portal.says = 422
    assert client.knows(IDENTITY, TOKEN) is Known.YES
    with pytest.raises(HubError, match="HTTP 422"):
        client.register(IDENTITY, TOKEN, ADMIN)
