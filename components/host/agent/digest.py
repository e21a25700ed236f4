"""SHA-256 by Python's own C code for what is small: to load OpenSSL takes longer than to hash fifty files with it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGE = 256 * 1024
"""Bytes in one piece from which OpenSSL is worth its loading: it is several times faster."""


def _own() -> Any:
    for module in ("_sha2", "_sha256"):  # since Python 3.12, and before
        try:
            return __import__(module).sha256
        except ImportError:
            continue
    return _openssl()


def _openssl() -> Any:
    import hashlib

    return hashlib.sha256


_small = _own()


def sha256_of(data: bytes) -> str:
    """Hash what is at hand, as hexadecimal digits."""
    digest = Digest()
    digest.update(data)
    return digest.hexdigest()


class Digest:
    """A hash of pieces. The first one, which is the largest, tells how the work is done."""

    def __init__(self) -> None:
        self._begun: Any = None

    def update(self, piece: bytes) -> None:
        """Add a piece."""
        if self._begun is None:
            self._begun = (_openssl() if len(piece) >= _LARGE else _small)()
        self._begun.update(piece)

    def hexdigest(self) -> str:
        """Give the hash as hexadecimal digits."""
        return str((self._begun or _small()).hexdigest())
