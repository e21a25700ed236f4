"""Property values on the wire."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from toolchain.plugins.kit import UNKNOWN, Archive, Asset, Path
from toolchain.plugins.kit.values import decode, encode

KEYS = st.text(min_size=1, max_size=8)
ASSETS = st.builds(Asset, text=st.text(), hash=st.text()) | st.builds(Asset, path=st.text(min_size=1))
LEAVES = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text()
    | st.just(UNKNOWN)
    | ASSETS
    | st.builds(Archive, assets=st.dictionaries(KEYS, ASSETS), hash=st.text())
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
PROPERTIES = st.dictionaries(KEYS, VALUES, max_size=5)


def map_paths(value: Any, at: Path = ()) -> list[Path]:
    """All paths which pass through maps only: those which can be secret by themselves."""
    found = [at] if at else []
    if isinstance(value, dict):
        for key, member in value.items():
            found += map_paths(member, (*at, key))
    return found


@given(PROPERTIES)
def test_values_survive_the_wire(properties: dict[str, Any]) -> None:
    assert decode(encode(properties)) == (properties, frozenset())


@given(PROPERTIES.filter(bool), st.data())
def test_secrets_survive_the_wire(properties: dict[str, Any], data: st.DataObject) -> None:
    secret = data.draw(st.sampled_from(map_paths(properties)))
    values, secrets = decode(encode(properties, frozenset({secret})))
    assert values == properties
    assert secrets == {secret}


@given(PROPERTIES, st.text(min_size=20))
def test_a_secret_is_never_outside_its_mark(properties: dict[str, Any], secret: str) -> None:
    wire = encode({**properties, "deep": {"down": secret}}, frozenset({("deep", "down")}))
    marked = wire.fields["deep"].struct_value.fields["down"].struct_value
    assert marked.fields["value"].string_value == secret
    assert set(marked.fields) == {"4dabf18193072939515e22adb298388d", "value"}


def test_a_secret_in_a_list_makes_the_whole_list_secret() -> None:
    wire = encode({"list": []})
    wire.fields["list"].list_value.values.add().CopyFrom(
        encode({"x": "s"}, frozenset({("x",)})).fields["x"],
    )
    assert decode(wire) == ({"list": ["s"]}, frozenset({("list",)}))


def test_an_unknown_which_may_hide_a_secret_is_secret() -> None:
    values, secrets = decode(encode({"data": UNKNOWN, "plain": UNKNOWN}, frozenset({("data", "password")})))
    assert values == {"data": UNKNOWN, "plain": UNKNOWN}
    assert secrets == {("data",)}


def test_null_members_are_absent_and_null_items_stay() -> None:
    wire = struct_pb2.Struct()
    wire.update({"gone": None, "list": [None, 1]})
    assert decode(wire) == ({"list": [None, 1]}, frozenset())
