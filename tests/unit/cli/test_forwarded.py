"""What goes on to the engine behind our own options."""

from __future__ import annotations

import pytest

from cli.errors import InputError
from cli.forwarded import narrowed, options, widened

URN = "urn:pulumi:home::factory::x"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--diff", "--json"],
        ["--target", URN, "--diff"],
        ["--diff", "-t", URN],
        ["--replace", URN, "--target", URN],
        [f"--target={URN}", "--refresh=false"],
        ["-m", "a message", "--exclude", URN],
        ["-p", "4", "--plan", "plan.json"],
    ],
)
def test_options_and_their_values_go_on(words: list[str]) -> None:
    assert options(words) == words


@pytest.mark.parametrize(
    ("words", "stray"),
    [
        (["lab"], "lab"),
        (["--diff", "lab"], "lab"),
        (["--target", URN, "lab"], "lab"),
        ([f"--target={URN}", "lab"], "lab"),
        (["--refresh", "false"], "false"),
        (["lab", "--diff"], "lab"),
    ],
)
def test_any_other_word_would_be_fetched_as_a_template(words: list[str], stray: str) -> None:
    with pytest.raises(InputError, match=f"^'{stray}' is no option; a stack is named by --stack {stray}, a section"):
        options(words)


def test_a_value_that_is_not_known_as_one_is_told_how_to_be_written() -> None:
    with pytest.raises(InputError, match=r"the value of an option as in --refresh=false$"):
        options(["--refresh", "false"])


@pytest.mark.parametrize(
    "words",
    [["--target", URN], [f"--target={URN}"], ["-t", URN], ["--exclude", URN], ["-x", URN], ["--target-replace"]],
)
def test_a_part_of_the_resources(words: list[str]) -> None:
    assert narrowed(words)
    assert narrowed(["--diff", *words])


@pytest.mark.parametrize(
    "word", ["--target-dependents", "--exclude-dependents", "--diff", "-y", "--exclude-protected=false"]
)
def test_all_of_the_resources(word: str) -> None:
    assert not narrowed([word])


def test_a_value_is_no_option() -> None:
    assert not narrowed(["-m", "-temporary change"])
    assert not widened(["--message", "--target-dependents"])


@pytest.mark.parametrize(
    ("word", "wide"),
    [("--target-dependents", True), ("--target-dependents=true", True), ("--target-dependents=false", False)],
)
def test_what_stands_on_a_part_goes_with_it(word: str, *, wide: bool) -> None:
    assert widened(["--target", URN, word]) is wide
