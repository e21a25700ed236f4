"""Edits of files that belong to somebody else: idempotent, minimal, and refused where the file is garbage."""

from __future__ import annotations

import configparser
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.host.agent import edit_lines, edit_merge, rendering
from components.host.agent.errors import Refusal

lines = st.lists(st.sampled_from(["a", "b = 1", "# c", "", "/dev/sda1 / ext4 defaults 0 1"]), max_size=6).map(
    lambda parts: "".join(f"{part}\n" for part in parts)
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=3), json_values, max_size=4)


@given(lines, lines)
def test_a_block_is_put_once_and_taken_out_again(text: str, content: str) -> None:
    once = edit_lines.block(text, "name", "#", content)
    assert edit_lines.block(once, "name", "#", content) == once
    assert edit_lines.block(once, "name", "#", None) == text
    assert edit_lines.block(edit_lines.block(text, "other", "#", "x\n"), "name", "#", None) == edit_lines.block(
        text, "other", "#", "x\n"
    )


def test_a_block_keeps_a_file_without_a_final_newline_readable() -> None:
    assert edit_lines.block("a", "n", "#", "b") == "a\n# BEGIN factory n\nb\n# END factory n\n"
    assert edit_lines.block(None, "n", "#", None) is None


@given(lines, st.sampled_from(["/mnt/a", "/mnt/b c", "/mnt/d\te"]))
def test_fstab_has_one_line_for_a_mount_point(text: str, point: str) -> None:
    fields = ["LABEL=x", point, "ext4", "defaults,nofail", "0", "2"]
    once = edit_lines.fstab(text, point, fields)
    assert edit_lines.fstab(once, point, fields) == once
    assert edit_lines.fstab_fields(once, point) == fields
    assert edit_lines.fstab(once, point, None) == text
    assert all(len(line.split()) in {0, 1, 2, 3, 6} for line in (once or "").splitlines())


def test_fstab_keeps_the_spelling_of_a_line_that_says_the_same() -> None:
    text = "LABEL=x   /mnt/a   ext4   defaults   0 0\n"
    assert edit_lines.fstab(text, "/mnt/a", ["LABEL=x", "/mnt/a", "ext4", "defaults", "0", "0"]) == text
    short = "LABEL=x /mnt/a ext4 defaults\n"
    assert edit_lines.fstab(short, "/mnt/a", ["LABEL=x", "/mnt/a", "ext4", "defaults", "0", "0"]) == short


def test_authorized_keys_are_known_by_their_body() -> None:
    old = 'from="10.0.0.0/8" ssh-ed25519 AAAA1 old comment\n# note\nssh-rsa AAAA2 theirs\n'
    new = edit_lines.authorized_keys(old, ["ssh-ed25519 AAAA1 new comment"])
    assert new == "ssh-ed25519 AAAA1 new comment\n# note\nssh-rsa AAAA2 theirs\n"
    assert edit_lines.authorized_keys(new, [], ["ssh-ed25519 AAAA1"]) == "# note\nssh-rsa AAAA2 theirs\n"
    assert edit_lines.authorized_keys(new, [], exclusive=True) == "# note\n"
    assert edit_lines.authorized_keys(None, []) is None


@given(objects, objects)
def test_merging_json_is_idempotent_and_keeps_foreign_keys(old: dict[str, Any], values: dict[str, Any]) -> None:
    text = json.dumps(old)
    once = edit_merge.merge(text, "json", values)
    assert edit_merge.merge(once, "json", values) == once
    merged = json.loads(once)
    assert all(edit_merge.holds(merged, path) for path in edit_merge.leaves(values))
    assert {key: merged[key] for key in old if key not in values} == {key: old[key] for key in old if key not in values}


@given(objects)
def test_what_was_merged_into_nothing_can_be_taken_out(values: dict[str, Any]) -> None:
    once = edit_merge.merge('{"theirs": 1}', "json", values)
    if "theirs" in values:
        return
    assert json.loads(edit_merge.merge(once, "json", {}, edit_merge.leaves(values))) == {"theirs": 1}


names = st.sampled_from(["a", "b c", "D"])
ini_values = st.dictionaries(
    names, st.dictionaries(names, st.sampled_from(["1", "x y", "", "a=b"]), max_size=3), max_size=3
)


@given(ini_values, ini_values)
def test_merging_ini_says_what_an_ini_reader_reads(old: dict[str, Any], values: dict[str, Any]) -> None:
    text = "; theirs\n" + "".join(
        f"[{section}]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()) for section, keys in old.items()
    )
    once = edit_merge.merge(text, "ini", values)
    assert edit_merge.merge(once, "ini", values) == once
    parser = configparser.RawConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(once)
    expected = {section: dict(keys) for section, keys in old.items()}
    for section, keys in values.items():
        if keys:
            expected[section] = {**expected.get(section, {}), **keys}
    assert {section: dict(parser[section]) for section in parser.sections()} == expected
    assert once.startswith("; theirs\n")


def test_ini_comments_and_order_stay() -> None:
    text = "x = 0\n\n[a]\n# one\nk=1\n\n[b]\n; two\n"
    assert edit_merge.merge(text, "ini", {"a": {"n": "2"}, "": {"y": "3"}}) == (
        "x = 0\ny=3\n\n[a]\n# one\nk=1\nn=2\n\n[b]\n; two\n"
    )
    assert edit_merge.merge(text, "ini", {}, [["a", "k"]]) == "x = 0\n\n[a]\n# one\n\n[b]\n; two\n"
    assert edit_merge.merge(text, "ini", {}, [["b"]]) == "x = 0\n\n[a]\n# one\nk=1\n\n"


def test_ini_is_written_with_the_spaces_that_the_file_has() -> None:
    """avahi-daemon refuses a file with spaces before the sign."""
    assert edit_merge.merge("[a]\nk = 1\n", "ini", {"a": {"n": "2"}}) == "[a]\nk = 1\nn = 2\n"
    assert edit_merge.merge("[a]\nk=1\n", "ini", {"a": {"n": "2"}}) == "[a]\nk=1\nn=2\n"
    assert edit_merge.merge(None, "ini", {"a": {"n": ""}}) == "[a]\nn =\n"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\x7fb"])
def test_a_value_cannot_begin_another_line(value: str) -> None:
    with pytest.raises(Refusal, match="holds a control character"):
        rendering.unit({"Service": {"ExecStart": value}})
    with pytest.raises(Refusal, match="holds a control character"):
        rendering.unit({"Service": {f"Exec{value}": "x"}})
    with pytest.raises(Refusal, match="holds a control character"):
        rendering.repository({"uris": [value], "suites": ["s"]}, "/k")


def test_a_unit_is_read_back() -> None:
    sections: dict[str, dict[str, Any]] = {
        "Unit": {"After": "a"},
        "Service": {"ExecStart": ["", "/x"], "Type": "simple"},
    }
    text = rendering.unit(sections)
    assert text == "[Unit]\nAfter=a\n\n[Service]\nExecStart=\nExecStart=/x\nType=simple\n"
    assert rendering.sections(text) == sections
