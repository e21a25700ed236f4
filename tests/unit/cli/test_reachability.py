"""Endpoints that take no connection are named before the engine starts, all at once; no other is accused."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from cli import reachability
from cli.errors import CommandError
from cli.reachability import Endpoint, endpoints, excused, refuse_unreachable, unreachable
from cli.session import PluginSet, Session
from stacks.settings.schema import Settings, complete
from tests.support import dead_ends

KEYS = {
    "kubernetes": "factory:kubernetes.context",
    "vault": "factory:vault.address",
    "postgres": "factory:postgres.host",
}


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings whose sections need all three connections, to these ports of loopback."""

    def made(kubernetes: int, vault: int, postgres: int, **cluster: str) -> Settings:
        kubeconfig = tmp_path / "kubeconfig"
        config = {
            "contexts": [{"name": "site", "context": {"cluster": "one", "user": "admin"}}],
            "clusters": [{"name": "one", "cluster": {"server": f"https://127.0.0.1:{kubernetes}", **cluster}}],
            "users": [{"name": "admin", "user": {"token": "word"}}],
        }
        kubeconfig.write_text(yaml.safe_dump(config))
        outside = {"host": "https://cluster.example.test", "reviewer_namespace": "tools"}
        return complete().model_validate(
            {
                "environment": "prod",
                "kubernetes": {"kubeconfig": str(kubeconfig), "context": "site"},
                "vault": {"address": f"https://127.0.0.1:{vault}"},
                "postgres": {"host": "127.0.0.1", "port": postgres, "username": "provisioner"},
                "vault_foundation": {"kubernetes": outside},
                "postgres_foundation": {"create_pooler_role": True},
            }
        )

    return made


def session(**variables: str) -> Session:
    stack = SimpleNamespace(file=Path("Pulumi.site.yaml"))
    found = SimpleNamespace(stack=stack, home=SimpleNamespace(plugins=PluginSet.OFFICIAL), environment=variables)
    return cast("Session", found)


@pytest.mark.parametrize("section", KEYS)
def test_one_that_refuses_is_named_and_no_other(
    opened: ExitStack, settings: Callable[..., Settings], section: str
) -> None:
    ports = {name: opened.enter_context(dead_ends.taking()) for name in KEYS}
    refuse_unreachable(session(), settings(**ports), None)
    ports[section] = opened.enter_context(dead_ends.refusing())
    with pytest.raises(CommandError) as raised:
        refuse_unreachable(session(), settings(**ports), None)
    said = str(raised.value)
    assert raised.value.status == 1
    assert "nothing was changed" in said
    assert f"Pulumi.site.yaml: {KEYS[section]} = 127.0.0.1:{ports[section]}: connection refused." in said
    assert not any(key in said for name, key in KEYS.items() if name != section)


def test_all_that_answer_nothing_are_named_in_the_time_of_one(
    opened: ExitStack, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reachability, "SECONDS", 0.5)
    monkeypatch.setattr(reachability, "_GRACE_SECONDS", 60)  # a busy machine is no failure
    ports = {name: opened.enter_context(dead_ends.silent()) for name in KEYS}
    with pytest.raises(CommandError) as raised:
        refuse_unreachable(session(), settings(**ports), None)
    for name, key in KEYS.items():
        assert f"{key} = 127.0.0.1:{ports[name]}: no answer within 0.5 s. Start its machine" in str(raised.value)


@pytest.mark.parametrize(
    ("only", "asked"),
    [
        (None, ["kubernetes", "vault", "postgres"]),
        ("vault_foundation", ["kubernetes", "vault"]),
        ("postgres_foundation", ["postgres"]),
        ("hosts", []),
        ("postgres", []),
    ],
)
def test_only_what_the_sections_of_the_run_need_is_asked(
    settings: Callable[..., Settings], only: str | None, asked: list[str]
) -> None:
    assert [one.section for one in endpoints(settings(1, 2, 3), only)] == asked


def test_one_application_needs_what_it_uses(settings: Callable[..., Settings]) -> None:
    app: dict[str, Any] = {"image": {"tag": "1"}}
    both = settings(1, 2, 3).model_dump() | {"vault_foundation": None, "postgres_foundation": None}
    both["apps"] = {"shop": app | {"mode": "application-only"}, "shop-office": app}
    found = complete().model_validate(both)
    assert {one.section for one in endpoints(found, "apps")} == {*KEYS}
    assert {one.section for one in endpoints(found, "apps.shop-office")} == {*KEYS}
    assert "postgres" not in {one.section for one in endpoints(found, "apps.shop")}


def test_a_cluster_behind_a_proxy_or_without_a_kubeconfig_is_not_asked(settings: Callable[..., Settings]) -> None:
    proxied = settings(1, 2, 3, **{"proxy-url": "http://proxy.example.test:3128"})
    assert [one.section for one in endpoints(proxied)] == ["vault", "postgres"]
    assert proxied.kubernetes is not None
    Path(proxied.kubernetes.kubeconfig).unlink()
    assert [one.section for one in endpoints(proxied)] == ["vault", "postgres"]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://vault.example.test", "vault.example.test:443"),
        ("http://vault.example.test/v", "vault.example.test:80"),
        ("https://[2001:db8::1]:8200", "[2001:db8::1]:8200"),
    ],
)
def test_a_port_that_is_not_written_is_the_schemes(settings: Callable[..., Settings], url: str, place: str) -> None:
    elsewhere = settings(1, 2, 3).model_dump() | {"vault": {"address": url}}
    (vault,) = (one for one in endpoints(complete().model_validate(elsewhere)) if one.section == "vault")
    assert str(vault) == place


def test_a_name_that_is_not_known_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    endpoint = Endpoint("postgres", "factory:postgres.host", "db.example.test", 5432)
    assert isinstance(unreachable([endpoint])[endpoint], socket.gaierror)


def test_a_name_that_no_packet_can_ask_for_is_told_so() -> None:
    endpoint = Endpoint("vault", "factory:vault.address", "vault..example.test", 8200)
    assert isinstance(unreachable([endpoint])[endpoint], socket.gaierror)


def test_a_look_up_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def hanging(*_: object, **__: object) -> None:
        done.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr(reachability, "SECONDS", 0.1)
    monkeypatch.setattr(reachability, "_LOOK_UP_SECONDS", 0.2)
    endpoint = Endpoint("postgres", "factory:postgres.host", "db.example.test", 5432)
    try:
        assert "name was not looked up within 0.2 s" in str(unreachable([endpoint])[endpoint])
    finally:
        done.set()


def test_a_slow_look_up_takes_no_time_from_the_connection(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver may ask a dead server first."""
    look_up, port = socket.getaddrinfo, opened.enter_context(dead_ends.taking())

    def slow(*arguments: Any, **more: Any) -> Any:
        time.sleep(0.5)
        return look_up(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(reachability, "SECONDS", 0.4)
    assert unreachable([Endpoint("vault", "factory:vault.address", "127.0.0.1", port)]) == {}


@pytest.mark.parametrize("first", [dead_ends.silent, dead_ends.refusing])
def test_an_address_that_is_dead_hides_none_that_answers(
    opened: ExitStack, monkeypatch: pytest.MonkeyPatch, first: Callable[[], Any]
) -> None:
    ports = [opened.enter_context(first()), opened.enter_context(dead_ends.taking())]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert unreachable([Endpoint("postgres", "factory:postgres.host", "db.example.test", 5432)]) == {}


PROXY = {"HTTPS_PROXY": "http://proxy.example.test:3128"}


@pytest.mark.parametrize(
    ("section", "host", "variables", "is_excused"),
    [
        ("vault", "vault.example.test", {}, False),
        ("vault", "vault.example.test", PROXY, True),
        ("vault", "vault.example.test", {"https_proxy": "http://proxy.example.test:3128"}, True),
        ("kubernetes", "198.51.100.7", PROXY, True),
        ("postgres", "db.example.test", PROXY, False),
        ("postgres", "db.example.test", {"ALL_PROXY": "socks5://proxy.example.test"}, True),
        ("vault", "vault.example.test", PROXY | {"NO_PROXY": "*"}, False),
        ("vault", "198.51.100.7", PROXY | {"NO_PROXY": "*"}, False),
        ("vault", "vault.example.test", PROXY | {"no_proxy": "other.test, example.test"}, False),
        ("vault", "vault.example.test", PROXY | {"NO_PROXY": ".example.test"}, False),
        ("vault", "example.test", PROXY | {"NO_PROXY": ".example.test"}, True),
        ("vault", "badexample.test", PROXY | {"NO_PROXY": "example.test"}, True),
        ("vault", "198.51.100.7", PROXY | {"NO_PROXY": "198.51.100.0/24"}, False),
        ("vault", "198.51.100.7", PROXY | {"NO_PROXY": "198.51.100.7"}, False),
        ("vault", "198.51.100.7", PROXY | {"NO_PROXY": "10.0.0.0/8,example.test"}, True),
        ("vault", "127.0.0.1", PROXY, False),
        ("vault", "localhost", PROXY, False),
        ("vault", "127.0.0.1", {"VAULT_PROXY_ADDR": "http://127.0.0.1:8100"}, True),
        ("kubernetes", "127.0.0.1", {"VAULT_PROXY_ADDR": "http://127.0.0.1:8100"}, False),
        ("kubernetes", "127.0.0.1", {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}, True),
    ],
)
def test_what_a_plugin_may_reach_by_a_proxy_is_not_accused(
    section: str, host: str, variables: dict[str, str], *, is_excused: bool
) -> None:
    assert excused(Endpoint(section, KEYS[section], host, 443), variables, local=False) is is_excused


def test_the_local_plugins_heed_no_proxy_but_vaults() -> None:
    found = {name: excused(Endpoint(name, KEYS[name], "198.51.100.7", 443), PROXY, local=True) for name in KEYS}
    assert found == {"kubernetes": False, "vault": True, "postgres": False}
