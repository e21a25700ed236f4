"""The agent's hash: the same as everybody's, whatever the pieces and whoever computes it."""

from __future__ import annotations

import hashlib
import sys

import pytest

from components.host.agent import digest

LARGE = b"\x00\xff" * 200_000


@pytest.mark.parametrize("pieces", [[], [b""], [b"a", LARGE], [LARGE, b"a"], [b"x" * 1000] * 3])
def test_pieces_make_the_hash_of_the_whole(pieces: list[bytes]) -> None:
    digested = digest.Digest()
    for piece in pieces:
        digested.update(piece)
    assert digested.hexdigest() == digest.sha256_of(b"".join(pieces)) == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_python_without_its_own_code_takes_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("_sha2", "_sha256"):
        monkeypatch.setitem(sys.modules, module, None)  # its import fails
    assert digest._own() is hashlib.sha256
