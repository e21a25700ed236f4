"""What the base of all argument models takes, wherever a value stands in them."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from components.model import Model, Port, Seconds


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
