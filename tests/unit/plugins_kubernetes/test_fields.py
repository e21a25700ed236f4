from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from toolchain.plugins.kubernetes import fields
from toolchain.plugins.kubernetes.client import Object

OURS = "pulumi-kubernetes-0badcafe"

CONTAINERS: dict[str, Any] = {
    'k:{"name":"app"}': {
        ".": {},
        "f:image": {},
        "f:name": {},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
    }
}
WANTED: Object = {
    "metadata": {"name": "web", "labels": {"app": "web"}, "finalizers": ["example.test/b"]},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "containers": [{"name": "app", "image": "i:1", "ports": [{"containerPort": 80}]}],
        "args": ["a", "b"],
    },
}
APPLIED: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {".": {}, 'v:"example.test/b"': {}}},
    "f:spec": {"f:selector": {}, "f:containers": CONTAINERS, "f:args": {}},
}
THEIRS = {
    "f:metadata": {"f:labels": {"f:theirs": {}}, "f:finalizers": {'v:"example.test/a"': {}}},
    "f:spec": {"f:containers": {'k:{"name":"sidecar"}': {".": {}, "f:name": {}}}},
}


def live(applied: Mapping[str, Any] = APPLIED) -> Object:
    """What the server has after we applied WANTED: defaults, a sidecar and labels of others, a status."""
    entries = [
        {"manager": OURS, "operation": "Apply", "fieldsV1": applied},
        {"manager": "other", "operation": "Update", "fieldsV1": THEIRS},
        {"manager": OURS, "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
    ]
    return {
        "metadata": {
            "name": "web",
            "uid": "1",
            "labels": {"theirs": "1", "app": "web"},
            "finalizers": ["example.test/a", "example.test/b"],
            "managedFields": entries,
        },
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "containers": [
                {"name": "sidecar", "image": "s"},
                {"name": "app", "image": "i:1", "pull": "Always", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            ],
            "args": ["a", "b"],
            "replicas": 1,
        },
        "status": {"phase": "Ready"},
    }


def seen(item: Object, wanted: Object = WANTED) -> Object:
    found: Object = fields.project(wanted, item, fields.shape(item), fields.owned(item, OURS))
    return found


def test_what_others_and_the_server_added_is_left_out() -> None:
    assert seen(live()) == WANTED


def test_an_edited_field_of_a_list_item_is_seen_wherever_the_item_stands() -> None:
    item = live()
    item["spec"]["containers"][1]["image"] = "evil"
    assert seen(item)["spec"]["containers"] == [{"name": "app", "image": "evil", "ports": [{"containerPort": 80}]}]


def test_a_removed_item_and_a_removed_key_are_missing() -> None:
    item = live()
    del item["spec"]["containers"][1]
    del item["metadata"]["labels"]["app"]
    item["metadata"]["finalizers"] = ["example.test/a"]
    found = seen(item)
    assert found["spec"]["containers"] == []
    assert found["metadata"] == {"name": "web", "labels": {}, "finalizers": []}


def test_a_value_which_the_server_treats_as_one_is_seen_whole() -> None:
    item = live()
    item["spec"]["selector"]["matchLabels"]["more"] = "x"
    item["spec"]["args"] = ["a", "b", "c"]
    found = seen(item)
    assert found["spec"]["selector"] == {"matchLabels": {"app": "web", "more": "x"}}
    assert found["spec"]["args"] == ["a", "b", "c"]


def test_items_which_another_added_to_a_list_of_unknown_kind_are_seen() -> None:
    assert fields.project({"args": ["a"]}, {"args": ["a", "b"]}, {}, {}) == {"args": ["a", "b"]}
    assert fields.project({"args": ["a", "b"]}, {"args": ["a"]}, {}, {}) == {"args": ["a"]}


def test_what_we_own_beyond_our_inputs_is_seen() -> None:
    # An update reached the server and its run was killed before the state was written.
    applied = copy.deepcopy(APPLIED)
    applied["f:metadata"]["f:labels"]["f:new"] = {}
    applied["f:metadata"]["f:finalizers"]['v:"example.test/c"'] = {}
    applied["f:spec"]["f:containers"]['k:{"name":"extra"}'] = {".": {}, "f:name": {}}
    item = live(applied)
    item["metadata"]["labels"]["new"] = "1"
    item["metadata"]["finalizers"].append("example.test/c")
    item["spec"]["containers"].append({"name": "extra", "image": "defaulted"})
    found = seen(item)
    assert found["metadata"]["labels"] == {"app": "web", "new": "1"}
    assert found["metadata"]["finalizers"] == ["example.test/b", "example.test/c"]
    assert [container["name"] for container in found["spec"]["containers"]] == ["app", "extra"]
    assert found["spec"]["containers"][1] == {"name": "extra"}


def test_inputs_are_recovered_from_what_we_applied() -> None:
    item = live() | {"apiVersion": "v1", "kind": "Thing"}
    recovered = fields.applied(item, OURS)
    assert recovered == WANTED | {"apiVersion": "v1", "kind": "Thing"}
    assert fields.applied(item, "nobody") is None


def test_only_applied_fields_are_ours() -> None:
    item = live()
    assert fields.owned(item, OURS) == APPLIED
    assert fields.owned(item, "other") == {}
    assert fields.owned({"metadata": {}}, OURS) == {}


def test_the_servers_own_spelling_is_no_difference() -> None:
    wanted = {"cpu": "1000m", "empty": [], "off": False, "list": [{"port": 80}]}
    there = {"cpu": "1", "list": [{"port": 80, "protocol": "TCP"}]}
    assert fields.settle(wanted, there, dict(there)) == wanted
    drifted = {"cpu": "2", "list": [{"port": 81, "protocol": "TCP"}]}
    assert fields.settle(wanted, drifted, there) == {
        "cpu": "2",
        "empty": [],
        "off": False,
        "list": [{"port": 81}],
    }


def test_a_value_which_vanished_stays_vanished() -> None:
    assert fields.settle({"a": "1", "b": "2"}, {"b": "2"}, {"a": "1", "b": "2"}) == {"b": "2"}


def test_a_value_which_another_added_is_shown_unless_the_server_would_add_it_as_well() -> None:
    assert fields.settle({"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}) == {"a": 1, "b": 2}


SCALARS = st.integers(0, 3) | st.sampled_from(["x", "y"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def grown(value: Any) -> Any:
    """The value after the server added a default to each map, lists being merged by position."""
    if isinstance(value, dict):
        return {"default": True} | {key: grown(member) for key, member in value.items()}
    return [grown(item) for item in value] if isinstance(value, list) else value


@given(OBJECTS)
def test_defaults_never_show(wanted: Object) -> None:
    assert fields.project(wanted, grown(wanted), {}, {}) == wanted


@given(OBJECTS, OBJECTS)
def test_what_the_server_makes_of_our_inputs_is_never_a_difference(wanted: Object, rendered: Object) -> None:
    assert fields.settle(wanted, rendered, rendered) == wanted


@given(OBJECTS, OBJECTS, OBJECTS)
def test_settling_shows_a_difference_if_and_only_if_there_is_one(
    wanted: Object, there: Object, rendered: Object
) -> None:
    settled = fields.settle(wanted, there, rendered)
    if fields.same(there, wanted):
        assert settled == wanted
    if not fields.same(there, wanted) and fields.same(rendered, wanted):
        assert fields.same(settled, there)


@given(st.lists(st.sampled_from("abcde"), unique=True), st.randoms(use_true_random=False))
def test_the_order_in_which_a_keyed_list_is_stored_never_matters(names: list[str], dice: Any) -> None:
    wanted = {"items": [{"name": name, "value": name.upper()} for name in names]}
    stored = [{**item, "default": 1} for item in wanted["items"]] + [{"name": "foreign"}]
    dice.shuffle(stored)
    entries: dict[str, Any] = {
        f"k:{json.dumps({'name': name}, separators=(',', ':'))}": {".": {}} for name in [*names, "foreign"]
    }
    assert fields.project(wanted, {"items": stored}, {"f:items": entries}, {}) == wanted
