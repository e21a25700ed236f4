"""Backs the databases up once more that are about to go (APP-39).

Between the two steps of a removal, which may be days, an application still writes: the first backup lacks that.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from cli import state_edit
from cli.errors import CommandError
from cli.forwarded import narrowed
from cli.protection import going
from cli.session import Report, Session
from cli.state_edit import Record

_BACKUP = "factory:app:DatabaseBackup$command:local:Command::"
_PLAINTEXT = "plaintext"


def take(
    session: Session, resources: Sequence[Record], patterns: Sequence[str], forwarded: Sequence[str], report: Report
) -> None:
    """Repeat the backup of every database that goes with what meets a pattern, as the stack's state has it.

    Nothing is done where the person who runs this has narrowed the run down. Raises CommandError when one fails;
    nothing is removed then.
    """
    if narrowed(forwarded):
        return
    wanted = sorted(urn for urn in going(resources, patterns, forwarded) if _BACKUP in urn)
    known = state_edit.resources(state_edit.read(session, "--show-secrets")) if wanted else {}
    for urn in wanted:
        inputs = _clear(known[urn]["inputs"])
        done = subprocess.run(
            ["/bin/sh", "-c", inputs["create"]],
            env=os.environ | inputs["environment"],
            capture_output=True,
            text=True,
            check=False,
        )
        name = urn.rpartition("::")[2]
        if done.returncode:
            stack = session.stack.name
            raise CommandError(
                f"{name}: the database could not be backed up once more, so nothing was removed: "
                f"{' '.join(done.stderr.split()) or f'exit status {done.returncode}'}; if the backup before is enough, "
                f"or the database is gone already, run `./factory pulumi {stack} -- state delete '{urn}'`"
            )
        report(f"{name}: backed up once more, as {done.stdout}")


def _clear(value: Any) -> Any:  # noqa: ANN401 - any value of a state
    """Return a value of a state that was exported with its secrets without the marks around them."""
    if not isinstance(value, dict):
        return value
    if _PLAINTEXT in value:
        return _clear(json.loads(value[_PLAINTEXT]))
    return {key: _clear(inner) for key, inner in value.items()}
