"""What a run changes on hosts, told to the command line that started the engine, which shows it at the end."""

import contextlib
import json
import os
from typing import Final

from components.host.summary import Changes

__all__ = ["REPORT_VARIABLE", "report"]

REPORT_VARIABLE: Final = "FACTORY_HOSTS_REPORT"
"""Names the file that takes a line of JSON for each role; unset where nobody asks."""


def report(changes: Changes) -> None:
    """Add a line, whole: several plugins may write at once. Without room there is one less: the role is done anyway."""
    path = os.environ.get(REPORT_VARIABLE)
    if not path:
        return
    line = json.dumps(changes.as_data()).encode() + b"\n"
    with contextlib.suppress(OSError), open(path, "ab", buffering=0, opener=_private) as file:
        file.write(line)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
