"""The agent: it plans and applies a desired document on a host, and is never left on its disk.

:mod:`.protocol` tells how to speak with it; :func:`bundle` gives its program, :data:`BOOTSTRAP` its command line. All
modules here but this one and :mod:`.bundle` run on the host: standard library only, Python 3.9 or newer.
"""

from .bundle import BLOB_FROM, BOOTSTRAP, OUR_BYTECODE, FrameParser, blob_frames, bundle, overlay, split
from .protocol import ProtocolError, json_frame

__all__ = [
    "BLOB_FROM",
    "BOOTSTRAP",
    "OUR_BYTECODE",
    "FrameParser",
    "ProtocolError",
    "blob_frames",
    "bundle",
    "json_frame",
    "overlay",
    "split",
]
