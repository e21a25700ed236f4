"""PG-10: the passwords nobody chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.generated_password import SPECIAL_CHARACTERS, GeneratedPasswordProvider, generate


@given(length=st.integers(min_value=4, max_value=128))
def test_length_and_alphabet(length: int) -> None:
    password = generate(length)
    assert len(password) == length
    assert any(character.islower() for character in password)
    assert any(character.isupper() for character in password)
    assert any(character.isdigit() for character in password)
    assert any(character in SPECIAL_CHARACTERS for character in password)
    assert all(character.isalnum() or character in SPECIAL_CHARACTERS for character in password)


def test_no_password_comes_twice() -> None:
    assert len({generate(24) for _ in range(200)}) == 200


def test_a_length_that_cannot_hold_every_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="3 characters cannot hold"):
        generate(3)


def test_create_keeps_the_inputs_and_adds_a_password() -> None:
    provider = GeneratedPasswordProvider()
    inputs = {"length": 24.0, "special": "-", "generation": 1.0}  # numbers are floats on the wire
    outputs = provider.create(inputs).outs
    assert outputs is not None
    assert len(outputs["value"]) == 24
    assert outputs["verifier"].startswith("SCRAM-SHA-256$4096:")


@pytest.mark.parametrize(
    ("news", "replaces"),
    [
        ({"length": 24, "special": "-", "generation": 1}, []),
        ({"length": 24, "special": "-", "generation": 2}, ["generation"]),
        ({"length": 32, "special": "-:", "generation": 1}, ["length", "special"]),
    ],
)
def test_a_password_stays_until_it_is_asked_to_change(news: dict[str, object], replaces: list[str]) -> None:
    olds = {"length": 24, "special": "-", "generation": 1, "value": "secret", "verifier": "v"}
    difference = GeneratedPasswordProvider().diff("id", olds, news)
    assert (difference.changes, difference.replaces) == (bool(replaces), replaces)
