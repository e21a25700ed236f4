"""Password verifiers as PostgreSQL stores them (RFC 5803), made and checked on this side.

A password is sent as its verifier only, so it reaches no server log, not even that of a statement which failed.
"""

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from typing import Final

_ITERATIONS: Final = 4096
"""PostgreSQL's own default (``scram_iterations``)."""
_SALT_BYTES: Final = 16
_SCRAM = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>\d+):(?P<salt>[A-Za-z0-9+/=]+)\$(?P<stored>[A-Za-z0-9+/=]+):(?P<server>[A-Za-z0-9+/=]+)"
)
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
_MD5 = re.compile(r"md5[0-9a-f]{32}")


def is_verifier(text: str) -> bool:
    """Whether the text is a verifier already: PostgreSQL stores such a "password" as it is."""
    return bool(_SCRAM.fullmatch(text) or _MD5.fullmatch(text))


def verifier(password: str, salt: bytes | None = None, iterations: int = _ITERATIONS) -> str:
    """Return the SCRAM-SHA-256 verifier of a password; a verifier is returned unchanged."""
    if is_verifier(password):
        return password
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def matches(password: str, stored: str, role: str) -> bool:
    """Whether the stored verifier of the role is one of this password."""
    if is_verifier(password):
        return hmac.compare_digest(password, stored)
    scram = _SCRAM.fullmatch(stored)
    if scram:
        expected = verifier(password, base64.b64decode(scram["salt"]), int(scram["iterations"]))
    else:
        legacy = hashlib.md5((password + role).encode(), usedforsecurity=False)
        expected = f"md5{legacy.hexdigest()}"
    return hmac.compare_digest(expected, stored)


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


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
