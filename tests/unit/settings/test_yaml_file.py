"""Stack files are read as the engine reads them, and bad notation is a problem, never a traceback."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.settings import Problem, SettingsError, render, validate_files
from stacks.settings.yaml_file import Encrypted, Position, parse, read

TOP = 'config:\n  pulumi:disable-default-providers: ["*"]\n'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("22:30", "22:30"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("1_000", 1000),
        ("0x10", 16),
        ("0o17", 15),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        ('"1.10"', "1.10"),
        ("v1.10", "v1.10"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("{secure: v1:abc}", Encrypted()),
        ("{secure: v1:abc, more: 1}", {"secure": "v1:abc", "more": 1}),
        ("[a, 1, {b: c}]", ["a", 1, {"b": "c"}]),
    ],
)
def test_a_value_is_what_the_engine_makes_of_it(text: str, value: object) -> None:
    """The left column was given to `pulumi config --json` of the pinned engine; this is what it printed."""
    stack = parse(f"{TOP}  factory:key: {text}\n", "Pulumi.x.yaml")
    assert stack.values == {"key": value}
    assert stack.problems == []


def test_positions_count_from_one_and_name_the_key() -> None:
    stack = parse(f"{TOP}  factory:apps:\n    webapp:\n      exposure:\n        - office\n", "Pulumi.x.yaml")
    assert stack.position(("apps",)) == Position(3, 3)
    assert stack.position(("apps", "webapp", "exposure", 0)) == Position(6, 11)
    assert stack.position(("apps", "webapp", "not", "there")) == Position(4, 5)
    assert stack.position(("nowhere",)) is None


@pytest.mark.parametrize(
    ("text", "initialised"), [("", False), ("encryptionsalt: v1:x\n", True), ("secretsprovider: awskms://x\n", True)]
)
def test_a_file_that_names_no_encryption_was_never_initialised(text: str, initialised: bool) -> None:
    assert parse(TOP + text, "Pulumi.x.yaml").initialised is initialised


@pytest.mark.parametrize("text", [".nan", "-.inf", "!!int many", "9" * 5000])
def test_a_number_that_is_none_is_told_as_one(text: str) -> None:
    (problem,) = parse(f"{TOP}  factory:a: {text}\n", "f").problems
    assert problem.path == "factory:a"
    assert problem.rule.startswith("is no number: ")


@pytest.mark.parametrize(
    "tag", ["!!int abc", "!!float abc", "!!python/object:os.system x", "!!timestamp 2026-01-01", "!own x"]
)
def test_a_tag_is_a_problem(tag: str) -> None:
    assert len(parse(f"{TOP}  factory:key: {tag}\n", "Pulumi.x.yaml").problems) == 1


@pytest.mark.parametrize("tag", ["!!set {a, b}", "!!omap [a: 1]", "!!bool maybe"])
def test_other_tags_do_not_break_the_reader(tag: str) -> None:
    parse(f"{TOP}  factory:key: {tag}\n", "Pulumi.x.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.bytes.yaml").write_bytes(b"config: \xff\n")
    os.mkfifo(tmp_path / "Pulumi.pipe.yaml")
    problems = validate_files(
        [tmp_path / "Pulumi.none.yaml", tmp_path, tmp_path / "Pulumi.bytes.yaml", tmp_path / "Pulumi.pipe.yaml"]
    )
    assert [problem.rule for problem in problems] == [
        "cannot be read: No such file or directory",
        "cannot be read: Is a directory",
        "is not UTF-8 text (byte 8)",
        "cannot be read: it is a pipe",
    ]
    assert "Pulumi.none.yaml" in render(problems)


def test_deep_nesting_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.deep.yaml"
    file.write_text(f"config: {'[' * 5000}\n")
    with pytest.raises(SettingsError, match="malformed YAML"):
        read(file)


@given(st.text(alphabet=st.sampled_from("ab:-?{}[],&*!|>'\"#%@` \n\t0123456789~.")))
def test_no_text_is_a_traceback(text: str) -> None:
    refused: tuple[Problem, ...] = ()
    try:
        parse(f"{TOP}  factory:key: {text}", "Pulumi.x.yaml")
    except SettingsError as error:
        refused = error.problems
    assert all(problem.rule and problem.fix for problem in refused)
