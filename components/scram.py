"""Verifiers of passwords as PostgreSQL stores them (RFC 5802), so that no statement ever carries a password."""

import base64
import hashlib
import hmac
import stringprep
import unicodedata
from typing import Final

__all__ = ["ITERATIONS", "SALT_BYTES", "scram_verifier", "stable_salt"]

ITERATIONS: Final = 4096
"""PostgreSQL's own default (``scram_iterations``)."""
SALT_BYTES: Final = 16
_REFUSED: Final = (
    stringprep.in_table_a1,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
"""What a prepared password cannot hold: unassigned, control, private and other characters of no text."""


def stable_salt(role: str) -> bytes:
    """Salt the password of ``role`` the same in every run: a verifier that changed would show as a difference."""
    return hashlib.sha256(f"factory:{role}".encode()).digest()[:SALT_BYTES]


def scram_verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """Hash a password as PostgreSQL does for SCRAM-SHA-256."""
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *parts)


def _prepared(password: str) -> str:
    """Normalise as SASLprep does (RFC 4013); what that refuses is used as it is, as libpq does."""
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(each) else each for each in password if not stringprep.in_table_b1(each)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    refused = not prepared or any(table(each) for each in mapped for table in _REFUSED) or _mixes_directions(prepared)
    return password if refused else prepared


def _mixes_directions(text: str) -> bool:
    """Whether text from right to left is mixed with text from left to right, or does not enclose the rest."""
    leftwards = [stringprep.in_table_d1(each) for each in text]
    return any(leftwards) and (any(map(stringprep.in_table_d2, text)) or not (leftwards[0] and leftwards[-1]))
