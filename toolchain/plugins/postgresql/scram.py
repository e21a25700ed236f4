"""Password verifiers, made and checked on this side.

A password is sent as its verifier only, so it reaches no server log, not even that of a statement which failed.
"""

import base64
import hashlib
import hmac
import re
import secrets

from components.scram import ITERATIONS, SALT_BYTES, scram_verifier

_SCRAM = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>\d+):(?P<salt>[A-Za-z0-9+/=]+)\$(?P<stored>[A-Za-z0-9+/=]+):(?P<server>[A-Za-z0-9+/=]+)"
)
_MD5 = re.compile(r"md5[0-9a-f]{32}")


def is_verifier(text: str) -> bool:
    """Whether the text is a verifier already: PostgreSQL stores such a "password" as it is."""
    return bool(_SCRAM.fullmatch(text) or _MD5.fullmatch(text))


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Return the SCRAM-SHA-256 verifier of a password; a verifier is returned unchanged."""
    if is_verifier(password):
        return password
    return scram_verifier(password, secrets.token_bytes(SALT_BYTES) if salt is None else salt, iterations)


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
