"""Password verifiers."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.plugins.postgresql import scram

# Few rounds: what is tested does not depend on their number.
PASSWORDS = st.text(min_size=1).filter(lambda text: not scram.is_verifier(text))


@given(PASSWORDS, st.binary(min_size=8, max_size=16))
def test_a_verifier_matches_its_password_and_hides_it(password: str, salt: bytes) -> None:
    stored = scram.verifier(password, salt, 2)
    assert scram.is_verifier(stored)
    assert scram.matches(password, stored, "role")
    assert not scram.matches(f"{password}x", stored, "role")
    assert scram.verifier(stored) == stored
    assert scram.matches(stored, stored, "role")


def test_a_known_verifier() -> None:
    """The exchange of RFC 7677, section 3: the client's proof opens the stored key, the server's key signs."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    _, _, keys = scram.verifier("pencil", salt, 4096).split("$")
    stored_key, server_key = map(base64.b64decode, keys.split(":"))
    client_nonce, nonce = "rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    message = f"n=user,r={client_nonce},r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}".encode()
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    signature = hmac.digest(stored_key, message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key
    expected = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert hmac.digest(server_key, message, "sha256") == expected


def test_legacy_verifiers_are_recognised() -> None:
    stored = "md5" + hashlib.md5(b"passwordrole", usedforsecurity=False).hexdigest()
    assert scram.matches("password", stored, "role")
    assert not scram.matches("password", stored, "other")


@pytest.mark.parametrize("text", ["", "SCRAM-SHA-256$", "md5", "md5xyz", "SCRAM-SHA-1$4096:AA==$AA==:AA=="])
def test_other_texts_are_passwords(text: str) -> None:
    assert not scram.is_verifier(text)
