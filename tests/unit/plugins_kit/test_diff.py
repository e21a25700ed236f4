"""Exact differences by property path."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.plugins.kit import UNKNOWN, Change, Diff, Path, compare, format_path, parse_path

KEYS = st.text(min_size=1, max_size=6)
LEAVES = st.booleans() | st.integers() | st.text(max_size=5) | st.just(UNKNOWN)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
PATHS = st.lists(st.text(max_size=6) | st.integers(0, 99), min_size=1, max_size=5).map(tuple)


@given(PATHS)
def test_a_path_is_read_as_it_was_written(path: Path) -> None:
    assert parse_path(format_path(path)) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec.template.spec.containers[0].image", ("spec", "template", "spec", "containers", 0, "image")),
        ('metadata.annotations["example.test/owner"]', ("metadata", "annotations", "example.test/owner")),
        ('data["a\\"b"]', ("data", 'a"b')),
        ('["root.key"].x', ("root.key", "x")),
    ],
)
def test_paths_read_like_pulumis_own(text: str, path: Path) -> None:
    assert parse_path(text) == path
    assert format_path(path) == text


@pytest.mark.parametrize("text", ["a..b", "a[", "a[x]", 'a["b', "a b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a property path"):
        parse_path(text)


@given(OBJECTS)
def test_a_value_does_not_differ_from_its_copy(value: dict[str, Any]) -> None:
    assert list(compare(value, copy.deepcopy(value))) == []


@given(OBJECTS, OBJECTS)
def test_following_the_diff_makes_the_new_value(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Each path leads to a real difference, and applying them all leaves none."""
    result = copy.deepcopy(old)
    # From the last to the first: what is removed from a list does not move what is still to be changed.
    for path, change in sorted(
        compare(old, new), key=lambda each: [(type(s).__name__, s) for s in each[0]], reverse=True
    ):
        parent: Any = result
        target: Any = new
        for segment in path[:-1]:
            parent, target = parent[segment], target[segment]
        if change is Change.DELETE:
            del parent[path[-1]]
        elif isinstance(parent, list) and int(path[-1]) >= len(parent):
            parent.extend(target[len(parent) : int(path[-1]) + 1])
        else:
            parent[path[-1]] = copy.deepcopy(target[path[-1]])
    assert list(compare(result, new)) == []


@given(OBJECTS, OBJECTS)
def test_the_way_back_has_the_same_paths(old: dict[str, Any], new: dict[str, Any]) -> None:
    mirrored = {Change.ADD: Change.DELETE, Change.DELETE: Change.ADD, Change.UPDATE: Change.UPDATE}
    assert dict(compare(new, old)) == {path: mirrored[change] for path, change in compare(old, new)}


def test_changes_are_told_apart() -> None:
    old = {"same": 1, "gone": {"a": 1}, "list": [1, 2, 3], "kind": "x", "truth": True, "none": None}
    new = {"same": 1.0, "new": [], "list": [1, 5], "kind": {"a": 1}, "truth": 1}
    assert Diff.between(old, new).detailed == {
        "gone": Change.DELETE,
        "kind": Change.UPDATE,
        "list[1]": Change.UPDATE,
        "list[2]": Change.DELETE,
        "new": Change.ADD,
        "truth": Change.UPDATE,
    }


def test_a_replace_key_stands_for_what_is_below_and_above_it() -> None:
    old: dict[str, Any] = {"spec": {"selector": {"app": "a"}, "size": 1}}
    below = Diff.between(old, {"spec": {"selector": {"app": "b"}, "size": 2}}, replace_on=["spec.selector"])
    assert below.replaces == ["spec.selector.app"]
    assert below.delete_before_replace
    assert Diff.between(old, {}, replace_on=["spec.selector"]).replaces == ["spec"]
    other = Diff.between(old, {"spec": {"selector": {"app": "a"}, "size": 2}}, replace_on=["spec.selector"])
    assert other.replaces == []
    assert not other.delete_before_replace


def test_what_is_ignored_is_no_difference() -> None:
    old, new = {"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 2}}
    assert list(Diff.between(old, new, ignore=["a.b"]).detailed) == ["a.c"]


def test_an_unknown_differs_from_all_that_is_known() -> None:
    assert Diff.between({"a": 1}, {"a": UNKNOWN}).detailed == {"a": Change.UPDATE}
