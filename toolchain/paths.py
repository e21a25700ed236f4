"""Where this checkout keeps things: tools in the user's cache, data in the user's state directory.

Nothing is ever written into the checkout itself. Both directories are made on first use, readable by their owner only.
"""

import hashlib
import os
from pathlib import Path

from toolchain.errors import ToolError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def cache_dir() -> Path:
    """Return the per-user cache, shared by all checkouts: ``$FACTORY_CACHE``, else ``factory`` in the XDG cache.

    Raises ToolError if it cannot be made or written.
    """
    return _private(_override("FACTORY_CACHE") or _xdg("XDG_CACHE_HOME", ".cache") / "factory")


def state_dir() -> Path:
    """Return the data directory of this checkout: ``$FACTORY_STATE``, else ``factory/<id>`` in the XDG state directory.

    ``<id>`` is made of the real path of the checkout, so two checkouts never share backends.
    Raises ToolError if it cannot be made or written.
    """
    checkout = hashlib.sha256(os.fsencode(os.path.realpath(ROOT))).hexdigest()[:12]
    return _private(_override("FACTORY_STATE") or _xdg("XDG_STATE_HOME", ".local/state") / "factory" / checkout)


def _override(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG specification: a relative path is invalid and is to be ignored.
    return Path(value) if Path(value).is_absolute() else Path.home() / default


def _private(directory: Path) -> Path:
    try:
        # The mode given to mkdir holds for the last part only; the parents are the user's own business.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(
            f"cannot create {directory}: {error.strerror}; set FACTORY_CACHE and FACTORY_STATE elsewhere"
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ToolError(
            f"{directory} is not writable; make it writable or set FACTORY_CACHE and FACTORY_STATE elsewhere"
        )
    return directory
