"""A hardware key that somebody touches at once, and the SSH agent that holds it: the signatures are real."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KIND = b"sk-ssh-ed25519@openssh.com"
_APPLICATION = b"ssh:"
_TOUCHED = 1
_IDENTITIES, _IDENTITIES_ANSWER, _SIGN, _SIGN_ANSWER = 11, 12, 13, 14
_BLOCK = 8


@dataclass
class SecurityKey:
    """The key. Its private half does not leave it: the file beside only names it."""

    touches: int = 0
    _private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)

    @property
    def blob(self) -> bytes:
        """The public key as SSH sends it."""
        return _texts(KIND, self._private.public_key().public_bytes_raw(), _APPLICATION)

    @property
    def public_line(self) -> str:
        """The public key as a line of a file."""
        return f"{KIND.decode()} {base64.b64encode(self.blob).decode()}"

    @property
    def private_file(self) -> str:
        """The file that `ssh-keygen` writes for such a key."""
        check = struct.pack(">I", 7) * 2
        secret = check + self.blob + bytes([_TOUCHED]) + _texts(b"handle of the key", b"", b"no comment")
        secret += bytes(range(1, 1 + -len(secret) % _BLOCK))
        whole = b"openssh-key-v1\0" + _texts(b"none", b"none", b"") + struct.pack(">I", 1) + _texts(self.blob, secret)
        text = base64.encodebytes(whole).decode()
        return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}-----END OPENSSH PRIVATE KEY-----\n"

    def sign(self, data: bytes) -> bytes:
        """Sign as such a key does, with the proof that somebody touched it."""
        self.touches += 1
        proof = struct.pack(">BI", _TOUCHED, self.touches)
        signed = hashlib.sha256(_APPLICATION).digest() + proof + hashlib.sha256(data).digest()
        return _texts(KIND, self._private.sign(signed)) + proof


@contextmanager
def agent_with(key: SecurityKey, path: Path) -> Iterator[None]:
    """Serve an SSH agent with this one key at a socket."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        threading.Thread(target=_serve, args=(key, listening), daemon=True).start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _serve(key: SecurityKey, listening: socket.socket) -> None:
    while True:
        try:
            caller, _ = listening.accept()
        except OSError:
            return
        with caller:
            while len(head := caller.recv(4, socket.MSG_WAITALL)) == 4:
                message = caller.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)
                answer = _answer(key, message)
                caller.sendall(struct.pack(">I", len(answer)) + answer)


def _answer(key: SecurityKey, message: bytes) -> bytes:
    if message[0] == _IDENTITIES:
        return bytes([_IDENTITIES_ANSWER]) + struct.pack(">I", 1) + _texts(key.blob, b"a key")
    if message[0] == _SIGN:
        blob, rest = _text(message[1:])
        data, _ = _text(rest)
        assert blob == key.blob
        return bytes([_SIGN_ANSWER]) + _texts(key.sign(data))
    return b"\x05"


def _texts(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _text(data: bytes) -> tuple[bytes, bytes]:
    size = struct.unpack(">I", data[:4])[0]
    return data[4 : 4 + size], data[4 + size :]
