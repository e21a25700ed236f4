"""PG-10: the passwords nobody chooses."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.generated_password import SPECIAL_CHARACTERS, GeneratedPasswordProvider, generate, scram_verifier


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


def test_verifier_against_the_example_of_rfc_7677() -> None:
    salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    exchange = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s={salt},i=4096,c=biws,r={nonce}"
    kind, prefix, keys = scram_verifier("pencil", base64.b64decode(salt)).split("$")
    assert (kind, prefix) == ("SCRAM-SHA-256", f"4096:{salt}")
    stored_key, server_key = (base64.b64decode(key) for key in keys.split(":"))
    signature = hmac.digest(server_key, exchange.encode(), "sha256")
    assert base64.b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_signature = hmac.digest(stored_key, exchange.encode(), "sha256")
    client_key = bytes(left ^ right for left, right in zip(proof, client_signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key


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
