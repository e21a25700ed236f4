"""What somebody may have meant who typed a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_NAMED = 6
"""Names that a message holds at most."""


def instead(wanted: str, known: Sequence[str]) -> str:
    """Name what is near, or else what there is."""
    names = sorted(set(known) - {".", ".."})
    close = difflib.get_close_matches(wanted, names, _NAMED)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = ", ..." if len(names) > _NAMED else ""
    return f"there is {', '.join(names[:_NAMED])}{more}" if names else "the directory is empty"
