"""PG-33: the verifiers of passwords that people choose."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from components.scram import scram_verifier

SALT = b"0123456789abcdef"


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


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("a\u00a0b", "a b"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
    ],
)
def test_a_password_is_prepared_as_its_client_does(given: str, prepared: str) -> None:
    assert scram_verifier(given, SALT) == scram_verifier(prepared, SALT)


@pytest.mark.parametrize("refused", ["\ufb01\ue000", "\u0627\ufb01", "\u00ad", "\ufb01\u0007"])
def test_a_password_that_cannot_be_prepared_is_used_as_it_is(refused: str) -> None:
    salted = hashlib.pbkdf2_hmac("sha256", refused.encode(), SALT, 4096)
    server_key = base64.b64encode(hmac.digest(salted, b"Server Key", "sha256")).decode()
    assert scram_verifier(refused, SALT).endswith(f":{server_key}")
