"""What the base of all argument models takes, wherever a value stands in them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from components.model import HttpUrl, Model, Port, Seconds, amount


class Inner(Model):
    port: Port = 1
    share: float = 0
    on: bool = False


class Outer(Model):
    inner: Inner = Inner()
    by_name: dict[str, Inner] = Field(default={})
    ports: tuple[Port, ...] = ()
    maybe: Seconds | None = None
    any_of_them: str | bool | int = ""


@pytest.mark.parametrize(
    "values",
    [
        {"inner": {"port": True}},
        {"inner": {"port": "8080"}},
        {"inner": {"port": 1.5}},
        {"inner": {"share": False}},
        {"inner": {"share": "0.5"}},
        {"inner": {"on": "yes"}},
        {"inner": {"on": 1}},
        {"by_name": {"one": {"port": True}}},
        {"ports": [1, True]},
        {"maybe": True},
    ],
)
def test_a_value_of_another_kind_is_refused_not_converted(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(values)
    (error,) = refused.value.errors()
    assert error["type"] in {"int_type", "int_from_float", "float_type", "bool_type"}


def test_a_whole_number_may_come_as_the_engine_sends_it() -> None:
    """Over its wire every number is a float."""
    found = Outer.model_validate({"inner": {"port": 8080.0, "share": 1, "on": True}, "maybe": 3.0})
    assert found == Outer(inner=Inner(port=8080, share=1.0, on=True), maybe=3)
    assert isinstance(found.inner.port, int)


@pytest.mark.parametrize("value", ["1", True, 1])
def test_a_choice_of_kinds_keeps_the_one_that_was_given(value: object) -> None:
    assert Outer.model_validate({"any_of_them": value}).any_of_them is value


URL = TypeAdapter(HttpUrl)


@pytest.mark.parametrize(
    "address",
    [
        "https://vault..example.test",
        "https://.example.test",
        "https://vault.example.test:82OO",
        "https://vault.example.test:70000",
        "https://vault.example.test:0",
        "https://vault.example.test:",
        "https://[bad",
        "https://[bad]",
        "https://[203.0.113.7]",
        "https://:8200",
        "https://[::1]x:80",
        f"https://{'a' * 64}.example.test",
        f"https://{'a.' * 127}test",
        "https://vault,example.test",
    ],
)
def test_an_address_that_no_client_can_read_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="names no host and port that can be reached; give a DNS name"):
        URL.validate_python(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://vault.example.test:8200",
        "http://my_service.tools.svc:1",
        "https://203.0.113.7:65535/v1/x",
        "https://[2001:db8::7]:8200",
        "https://Vault.Example.TEST",
        "https://localhost",
        "http://vault.vault.svc.cluster.local.:8200",
    ],
)
def test_an_address_stays_as_it_is_written(address: str) -> None:
    assert URL.validate_python(address) == address


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("4", "4"),
        ("0.5", "0.5"),
        ("250m", "0.25"),
        ("1k", "1000"),
        ("2M", "2000000"),
        ("3G", "3e9"),
        ("1T", "1e12"),
        ("1.5Ki", "1536"),
        ("256Mi", "268435456"),
        ("1Gi", "1073741824"),
        ("1Ti", "1099511627776"),
    ],
)
def test_quantities_are_compared_as_numbers(quantity: str, number: str) -> None:
    assert amount(quantity) == Decimal(number)
