"""Password verifiers as PostgreSQL stores them (RFC 5803), made and checked on this side.

A password is sent as its verifier only, so it reaches no server log, not even that of a statement which failed.
"""

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from typing import Final

_ITERATIONS: Final = 4096
"""PostgreSQL's own default (``scram_iterations``)."""
_SALT_BYTES: Final = 16
_SCRAM = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>\d+):(?P<salt>[A-Za-z0-9+/=]+)\$(?P<stored>[A-Za-z0-9+/=]+):(?P<server>[A-Za-z0-9+/=]+)"
)
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
    """Normalise as SASLprep does; what it would refuse is used as it is, as libpq does."""
    return password if password.isascii() else unicodedata.normalize("NFKC", password)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
