"""The wire protocol between the program and the agent on a host, and its frames.

One agent process serves one host and root. Its command line is ``python3 -IS -c BOOTSTRAP``. It begins with the frame
``{"event": "hello", "bytecode": hex}``, and the first bytes of its standard input are then :func:`~.bundle.bundle` for
that bytecode: the host's Python is found out while it starts, and costs no further round trip. Everything else in both
directions is frames: four bytes of length (big-endian) and that many bytes. With the length's highest bit set the frame
is raw bytes of a blob, otherwise one JSON object.

Requests are answered one after the other. Each gets any number of ``{"event": "progress", ...}`` and then exactly one
``{"event": "result", ...}`` or ``{"event": "error", "error": {...}}``. A frame ``{"kind": "cancel"}`` or the end of
standard input during a request ends a running step's command and stops before the next action.

Requests (``kind``)
    ``plan``
        ``document`` (:meth:`HostStateArgs.document`, after :func:`~.bundle.split`), ``resource`` (a stable name of the
        resource, for its journal on the host), ``owned`` (that output of its last apply), ``key`` (hex; the key of the
        hashes of secrets), ``root`` (prefix of all paths, default ``/``), ``lock`` (``{"holder": text, "wait":
        seconds}``; taken now and held until the process ends; absent: no lock, for a preview), ``delete`` (true: plan
        the removal of all that is owned). Result: ``plan``, ``plan_id`` and ``facts`` (preflight: os, arch, python,
        hostname, disk, clock, uid, systemd, apt_lock).
    ``read``
        The same fields. Result: ``drift``, in the shape of the document but only what differs from it: a missing item
        is ``null``, otherwise a map of the differing fields with their real values (``null``: no such field;
        ``content`` as text or ``content_base64``; above 256 KiB ``content_sha256``, for secrets ``content_hmac``);
        ``interrupted`` (an apply of this resource was killed on the host); ``problems``; ``facts``.
        :func:`~.bundle.overlay` makes the real document of it.
    ``apply``
        ``plan_id`` of this process's last plan, or all fields of ``plan`` (then it plans first, and nothing may have
        been split off); a lock is needed.
        The blobs of the plan's ``needs`` follow as :func:`~.bundle.blob_frames`, in that order. Progress: ``text``,
        ``item``, ``done``, ``total``. Result: ``applied`` (items), ``owned`` (to be kept in the resource's state),
        ``confirm`` (``{"token", "timeout"}`` or null).
    ``confirm``
        ``token``, on a fresh connection. Result: ``confirmed`` (false and ``reason`` when it was too late).
    ``check``
        ``checks``: name to ``{"command": argv}``, ``{"http": url, "insecure"?, "headers"?}``, ``{"port": n,
        "address"?}``, ``{"unit": name}`` or ``{"file": path}``, each with ``timeout`` (seconds). Result: ``checks``:
        name to what was observed (see :mod:`.observe`), always with ``error`` (text or null). Read-only.

    ``end``
        Everything arrived; the agent gives the lock back and ends without an answer. A caller that just goes leaves a
        note on the host of what the last ``apply`` made, for its result may have been lost: the next run reads it.

Plan
    ``actions``, in the order of work, each ``{"item": "files:/etc/x", "do": "create" | "update" | "delete" | "run" |
    "maybe" | "start" | "stop" | "restart" | "reload", "changes": {field: [from, to]}, "why": [items]}``; ``maybe`` is a
    step whose guard is asked again when its turn comes. Contents show as ``sha256:...``, those of secrets as
    ``hmac:...``. ``problems``: ``[{"item", "message"}]``; ``apply`` refuses a plan with any. ``needs``: SHA-256 of the
    blobs which the actions use. ``owed``: items that an interrupted run changed and did not see to their end.

Error
    ``code`` (``invalid``, ``refused``, ``locked``, ``failed``, ``cancelled``) and ``message`` (one sentence without
    secrets); from ``apply`` also ``item``, ``command``, ``status``, ``stderr`` (last lines), ``applied``,
    ``not_applied`` (items) and ``owned``, so that the caller can keep a partial state.
"""

from __future__ import annotations

from .json_text import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_FRAME = 64 * 1024 * 1024
BLOB_CHUNK = 256 * 1024
_BLOB = 0x80000000


class ProtocolError(Exception):
    """Bytes which are no frame."""


def json_frame(message: dict[str, Any]) -> bytes:
    """Encode one message."""
    payload = dumps(message).encode("utf-8", "surrogatepass")
    return len(payload).to_bytes(4, "big") + payload


def blob_frame(chunk: bytes) -> bytes:
    """Encode one piece of a blob; an empty piece ends the blob."""
    return (len(chunk) | _BLOB).to_bytes(4, "big") + chunk


def header(four: bytes) -> tuple[int, bool]:
    """Read a frame's header: how many bytes follow, and whether they are raw; raises ProtocolError if too many."""
    size = int.from_bytes(four, "big")
    size, raw = size & ~_BLOB, bool(size & _BLOB)
    if size > MAX_FRAME:
        message = f"a frame of {size} bytes: at most {MAX_FRAME} are allowed (is something else writing to the stream?)"
        raise ProtocolError(message)
    return size, raw


def decode(payload: bytes) -> dict[str, Any]:
    """Read the message of a frame; raises ProtocolError for anything but a JSON object."""
    try:
        message = loads(payload.decode("utf-8", "surrogatepass"))
    except ValueError as error:
        text = f"a frame is not JSON ({error})"
        raise ProtocolError(text) from error
    if not isinstance(message, dict):
        raise ProtocolError("a frame holds no JSON object")
    return message
