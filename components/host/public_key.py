"""Public keys of SSH servers as text: reading, comparing and showing them. No network, no cryptography."""

import base64
import binascii
import hashlib
from typing import Annotated, Final

from pydantic import AfterValidator

__all__ = ["PublicKey", "algorithm", "fingerprint", "normalised"]

_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_LENGTH_BYTES: Final = 4


def normalised(text: str) -> str:
    """Return ``algorithm base64`` without a comment.

    Raises ValueError for what is no public key, a truncated one and a private one included; the value is not repeated.
    """
    words = text.split()
    hint = "give the public key as it stands in /etc/ssh/ssh_host_ed25519_key.pub, such as 'ssh-ed25519 AAAA...'"
    if "PRIVATE" in text:
        raise ValueError(f"is a private key; {hint}")
    if not words or words[0] not in _ALGORITHMS:
        raise ValueError(f"does not begin with a kind of key ({', '.join(_ALGORITHMS)}); {hint}")
    try:
        blob = base64.b64decode(words[1] if len(words) > 1 else "", validate=True)
    except binascii.Error:
        raise ValueError(f"is not complete: its second word is not base64; {hint}") from None
    if not _is_of(blob, words[0]):
        raise ValueError(f"is not complete: its second word is no {words[0]} key; {hint}")
    return " ".join(words[:2])


def algorithm(key: str) -> str:
    """Return the kind of a key, for example ``ssh-ed25519``."""
    return key.split(maxsplit=1)[0]


def fingerprint(key: str) -> str:
    """Return what ``ssh-keygen -l`` shows of a key: ``SHA256:...``."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _is_of(blob: bytes, kind: str) -> bool:
    """Whether the fields of the blob, each preceded by its length, fill it exactly, and the first is its kind."""
    fields, rest = [], blob
    while rest:
        length = int.from_bytes(rest[:_LENGTH_BYTES])
        field, rest = rest[_LENGTH_BYTES : _LENGTH_BYTES + length], rest[_LENGTH_BYTES + length :]
        if len(field) != length:
            return False
        fields.append(field)
    return len(fields) > 1 and fields[0] == kind.encode()


PublicKey = Annotated[str, AfterValidator(normalised)]
"""The public key of an SSH server, ``algorithm base64``; a comment behind it is dropped."""
