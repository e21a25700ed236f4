"""Password verifiers."""

from __future__ import annotations

import hashlib

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


def test_legacy_verifiers_are_recognised() -> None:
    stored = "md5" + hashlib.md5(b"passwordrole", usedforsecurity=False).hexdigest()
    assert scram.matches("password", stored, "role")
    assert not scram.matches("password", stored, "other")


@pytest.mark.parametrize("text", ["", "SCRAM-SHA-256$", "md5", "md5xyz", "SCRAM-SHA-1$4096:AA==$AA==:AA=="])
def test_other_texts_are_passwords(text: str) -> None:
    assert not scram.is_verifier(text)
