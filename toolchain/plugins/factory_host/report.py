"""What a run changes on hosts, told to the command line that started the engine, which shows it at the end."""

import json
import os
from typing import Final

from components.host.summary import Changes

__all__ = ["REPORT_VARIABLE", "report"]

REPORT_VARIABLE: Final = "FACTORY_HOSTS_REPORT"
"""Names the file that takes a line of JSON for each role; unset where nobody asks."""


def report(changes: Changes) -> None:
    """Add a line, whole: several plugins may write at once."""
    path = os.environ.get(REPORT_VARIABLE)
    if not path:
        return
    line = json.dumps(changes.as_data()).encode() + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)
