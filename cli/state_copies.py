"""A copy of a stack's state before each change, so that a bad run can be undone with `pulumi stack import`."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

from cli.errors import writing
from cli.state_edit import State
from toolchain.paths import state_dir

KEPT = 10


def keep(stack: str, state: State) -> Path:
    """Store a state, whose secrets are encrypted by the stack's own provider, and drop the oldest copies."""
    folder = _folder(stack)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = dt.datetime.now(dt.UTC)
    copy = folder / f"{now:%Y%m%dT%H%M%S.%f}Z.json"
    # Under its name only when it is whole: without room, or killed, a run must leave no half of one as the newest.
    fresh = folder / "fresh"
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with writing(copy), os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(state, file)
        fresh.replace(copy)
    finally:
        fresh.unlink(missing_ok=True)
    for old in sorted(folder.glob("*.json"))[:-KEPT]:
        old.unlink()
    return copy


def newest(stack: str) -> Path | None:
    """Return the last copy, None where there is none."""
    return max(_folder(stack).glob("*.json"), default=None)


def _folder(stack: str) -> Path:
    return state_dir() / "state-copies" / stack
