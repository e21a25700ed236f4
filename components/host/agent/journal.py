"""The note on the host of what an unfinished run was about to do; a run that comes to its end removes it.

Written before the first change, so that the next run after a kill knows which temporary files may lie around, which
restarts are owed, and which of the new things this resource made. One JSON object per line; later lines add.
"""

from __future__ import annotations

import json
import os

from . import names
from .host import STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .fs import Files
    from .host import Host
    from .plan import Action

_MODE, _DIRECTORY_MODE = 0o600, 0o700


class Journal:
    """The journal of one resource on one host."""

    def __init__(self, host: Host, files: Files, resource: str, before: Mapping[str, Any] | None) -> None:
        self._host = host
        self._files = files
        self._path = names.journal_path(resource)
        self._before = before or {"changing": [], "creating": {}, "served": [], "targets": []}
        self._had_one = before is not None

    def begin(self, actions: Sequence[Action]) -> None:
        """Note what is about to be done, beside what an earlier run still owes."""
        self._files.clean([*self._before["targets"], self._path])
        self._write(actions, served=self._before["served"] if not actions else [])

    def served(self, item: str) -> None:
        """Note that a service was restarted. Not synced: at worst it restarts once more."""
        self._append({"served": [item]})

    def changing(self, item: str) -> None:
        """Note that an item changes after all, of which the plan was not sure."""
        self._append({"changing": [item]})

    def fail(self, attempted: Sequence[Action]) -> None:
        """Note what was really begun, after a failure."""
        if attempted or self._had_one:
            served = (self._read_served() or []) if attempted else self._before["served"]
            self._write(attempted, served=served)
        else:
            self.end()

    def end(self) -> None:
        """Remove it: all is done."""
        self._files.remove(self._path)
        self._files.settle()
        for directory in (os.path.dirname(self._path), STATE):
            self._files.remove_directory(directory, must=False)

    def _append(self, note: dict[str, Any]) -> None:
        with open(self._host.path(self._path), "a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")

    def _read_served(self) -> list[str]:
        lines = (self._host.read(self._path) or "").splitlines()
        return [item for line in lines for item in json.loads(line).get("served", ())]

    def _write(self, actions: Sequence[Action], *, served: Sequence[str]) -> None:
        creating = {kind: dict(items) for kind, items in self._before["creating"].items()}
        for action in actions:
            kind, _, key = action.item.partition(":")
            if action.owns is not None:
                creating.setdefault(kind, {})[key] = action.owns
        note = {
            "changing": sorted({*self._before["changing"], *(each.item for each in actions if each.matters())}),
            "creating": creating,
            "served": list(served),
            "targets": sorted({*self._before["targets"], *(path for each in actions for path in each.targets())}),
        }
        if not os.path.isdir(self._host.path(os.path.dirname(self._path))):
            for directory in (STATE, os.path.dirname(self._path)):
                if not os.path.isdir(self._host.path(directory)):
                    self._files.make_directory(directory, mode=_DIRECTORY_MODE)
        self._files.write(self._path, [json.dumps(note).encode() + b"\n"], mode=_MODE)
        self._files.settle()
