"""The agent as one self-contained program, and what the caller needs to speak with it (not part of the bundle)."""

import base64
import functools
import hashlib
import marshal
import threading
import zlib
from collections.abc import Iterator, Mapping
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any, Final

from .loader import compiled
from .protocol import BLOB_CHUNK, blob_frame, decode, header

__all__ = ["BLOB_FROM", "BOOTSTRAP", "OUR_BYTECODE", "FrameParser", "blob_frames", "bundle", "overlay", "split"]

BLOB_FROM: Final = 64 * 1024
"""Contents of at least so many bytes travel as blobs, and only when the host lacks them."""

BOOTSTRAP: Final = (
    "import _frozen_importlib_external as e,marshal,os,sys,zlib\n"
    'h=b\'{"event":"hello","bytecode":"%s"}\'%e.MAGIC_NUMBER.hex().encode()\n'
    "os.write(1,len(h).to_bytes(4,'big')+h)\n"
    "def r(n):\n"
    " b=b''\n"
    " while len(b)<n:\n"
    "  c=os.read(0,n-len(b))\n"
    "  if not c:sys.exit(97)\n"
    "  b+=c\n"
    " return b\n"
    "l,m=marshal.loads(zlib.decompress(r(int.from_bytes(r(4),'big'))))\n"
    "exec(l)\n"
    "run(m)"
)
"""The agent's whole command line: ``python3 -IS -c BOOTSTRAP``.

It says ``hello`` with the bytecode that it understands, and reads its program from standard input.
"""

_HERE: Final = Path(__file__).parent
_CALLERS: Final = {"__init__", "bundle"}
_ANY_PYTHON: Final = 2
"""The version of ``marshal`` that every Python 3 writes alike."""


OUR_BYTECODE: Final = MAGIC_NUMBER.hex()
"""What an agent says that understands the compiled modules of this process."""

_MAKING: Final = threading.Lock()


def bundle(bytecode: str = "") -> bytes:
    """Give the first bytes for the agent's standard input: its whole program, compressed.

    ``bytecode`` is what the agent's ``hello`` says. A Python like ours gets the compiled modules, which spares it a
    third of its start; any other the sources.
    """
    with _MAKING:
        return _bundle(compiled_for_us=bytecode == OUR_BYTECODE)


@functools.cache
def _bundle(*, compiled_for_us: bool) -> bytes:
    modules = {file.stem: file.read_text("utf-8") for file in sorted(_HERE.glob("*.py")) if file.stem not in _CALLERS}
    loader = modules.pop("loader")
    if compiled_for_us:
        codes = {name: marshal.dumps(compiled(name, source)) for name, source in modules.items()}
        program = marshal.dumps((compiled("loader", loader), codes))
    else:
        program = marshal.dumps((loader, modules), _ANY_PYTHON)
    compressed = zlib.compress(program)
    return len(compressed).to_bytes(4, "big") + compressed


class FrameParser:
    """Frames out of bytes that arrive in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Take bytes and yield each message that is complete; raises ProtocolError for what is none."""
        self._buffer += data
        while len(self._buffer) >= 4:  # noqa: PLR2004 the size of a header
            size, _raw = header(bytes(self._buffer[:4]))
            if len(self._buffer) < 4 + size:
                return
            payload = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            yield decode(payload)


def split(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Take large contents out of a document; returns what to send, and the blobs by SHA-256.

    A file's ``content`` or ``content_base64`` becomes ``content_sha256`` and ``content_size``.
    """
    blobs: dict[str, bytes] = {}
    files: dict[str, Any] = {}
    for path, file in document.get("files", {}).items():
        data = _content(file)
        if data is None or len(data) < BLOB_FROM:
            files[path] = file
            continue
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        rest = {key: value for key, value in file.items() if key not in {"content", "content_base64"}}
        files[path] = {**rest, "content_sha256": digest, "content_size": len(data)}
    return ({**document, "files": files} if files else dict(document)), blobs


def blob_frames(data: bytes) -> Iterator[bytes]:
    """Encode one blob: its pieces and the empty piece that ends it."""
    view = memoryview(data)
    for start in range(0, len(data), BLOB_CHUNK):
        yield blob_frame(bytes(view[start : start + BLOB_CHUNK]))
    yield blob_frame(b"")


def overlay(document: Mapping[str, Any], drift: Mapping[str, Any]) -> dict[str, Any]:
    """Make the document of what is really there: the desired one with the answer of ``read`` laid over it."""
    real: dict[str, Any] = {}
    for kind, items in document.items():
        differing = drift.get(kind, {})
        if not differing:
            real[kind] = items
            continue
        kept: dict[str, Any] = {}
        for key, item in items.items():
            change = differing.get(key, {})
            if change is not None:
                kept[key] = _laid_over(item, change)
        if kept:
            real[kind] = kept
    return real


def _laid_over(item: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    hidden = {"content", "content_base64"} if any(field.startswith("content") for field in change) else set()
    merged = {key: value for key, value in item.items() if key not in hidden} | dict(change)
    return {key: value for key, value in merged.items() if value is not None}


def _content(file: Mapping[str, Any]) -> bytes | None:
    if "content" in file:
        return str(file["content"]).encode("utf-8", "surrogatepass")
    if "content_base64" in file:
        return base64.b64decode(file["content_base64"])
    return None
