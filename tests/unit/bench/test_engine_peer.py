"""The plain program is made of a state: which resources, in which order, with which dependencies."""

from __future__ import annotations

from typing import Any

from bench.engine_peer import _plain

PROVIDER = "urn:pulumi:dev::p::pulumi:providers:vault::vault"


def custom(kind: str, name: str, *dependencies: str, **inputs: Any) -> tuple[str, dict[str, Any]]:
    urn = f"urn:pulumi:dev::p::{kind}::{name}"
    reference = "" if kind.startswith("pulumi:providers:") else f"{PROVIDER}::1"
    return urn, {
        "urn": urn,
        "type": kind,
        "custom": True,
        "provider": reference,
        "inputs": inputs,
        "dependencies": dependencies,
    }


def test_components_and_what_follows_from_other_dependencies_are_left_out() -> None:
    component = ("urn:pulumi:dev::p::factory:app:AppStack::web", {"type": "factory:app:AppStack", "custom": False})
    provider = custom("pulumi:providers:vault", "vault", version="7.0.0", address="https://127.0.0.1")
    one = custom("vault:index/mount:Mount", "one", path="one", __defaults=[])
    two = custom("vault:index/mount:Mount", "two", one[0])
    three = custom("vault:index/mount:Mount", "three", one[0], two[0], component[0])
    made = {each["urn"].rpartition("::")[2]: each for each in _plain(dict([component, provider, one, two, three]))}
    assert list(made) == ["vault", "one", "two", "three"]
    assert made["vault"]["version"] == "7.0.0"
    assert made["vault"]["kept"] == ["address"]
    assert made["one"]["kept"] == ["path"]
    assert made["one"]["provider"] == PROVIDER
    assert made["two"]["after"] == [one[0]]
    assert made["three"]["after"] == [two[0]]
