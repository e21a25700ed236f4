"""The note on the host of what an unfinished run was about to do; a run that comes to its end removes it.

Written before the first change, so that the next run after a kill knows which temporary files may lie around, which
restarts are owed, and which of the new things this resource made. One JSON object per line; later lines add.

At the end only what was made stays noted, until the caller shows that it knows: the answer may be lost on its way.
"""

from __future__ import annotations

import os

from . import names
from .host import STATE
from .json_text import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .fs import Files
    from .host import Host
    from .plan import Action

_MODE, _DIRECTORY_MODE = 0o600, 0o700
SERVING = ("start", "stop", "restart", "reload", "run", "maybe")
"""What services and steps get for a change, and what is owed to them after a kill."""


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
        again = {action.item for action in actions if action.do in SERVING}
        self._write(actions, served=[item for item in self._before["served"] if item not in again])

    def served(self, item: str) -> None:
        """Note that a service restarted or a step ran. Not synced: at worst it does once more."""
        self._append({"served": [item]})

    def changing(self, item: str) -> None:
        """Note that an item changes after all, of which the plan was not sure."""
        self._append({"changing": [item]})

    def fail(self, attempted: Sequence[Action]) -> None:
        """Note what was really begun, after a failure."""
        if attempted or self._had_one:
            self._write(attempted, served=self._read_served() if attempted else self._before["served"])
        else:
            self.forget()

    def end(self, actions: Sequence[Action], known: Mapping[str, Mapping[str, Any]]) -> None:
        """Note that all is done, and what was made of which the caller does not know yet."""
        creating = {
            kind: {key: detail for key, detail in items.items() if known.get(kind, {}).get(key) != detail}
            for kind, items in self._creating(actions).items()
        }
        creating = {kind: items for kind, items in creating.items() if items}
        if creating:
            note = dumps({"creating": creating, "finished": True}, ascii_only=True)
            self._files.write(self._path, [note.encode() + b"\n"], mode=_MODE)
            self._files.settle()
        else:
            self.forget()

    def forget(self) -> None:
        """Remove it: the caller knows everything."""
        self._files.remove(self._path)
        for directory in (os.path.dirname(self._path), STATE):
            self._files.remove_directory(directory, must=False)
        self._files.settle()

    def _append(self, note: dict[str, Any]) -> None:
        with open(self._host.path(self._path), "a", encoding="utf-8") as file:
            file.write(dumps(note, ascii_only=True) + "\n")

    def _read_served(self) -> list[str]:
        lines = (self._host.read(self._path) or "").splitlines()
        return [item for line in lines for item in loads(line).get("served", ())]

    def _write(self, actions: Sequence[Action], *, served: Sequence[str]) -> None:
        creating = self._creating(actions)
        note = {
            "changing": sorted({*self._before["changing"], *(each.item for each in actions if each.matters())}),
            "creating": creating,
            "served": list(served),
            "targets": sorted({*self._before["targets"], *(path for each in actions for path in each.targets())}),
        }
        for directory in (STATE, os.path.dirname(self._path)):
            if not os.path.isdir(self._host.path(directory)):
                self._files.make_directory(directory, mode=_DIRECTORY_MODE)
        self._files.write(self._path, [dumps(note, ascii_only=True).encode() + b"\n"], mode=_MODE)
        self._files.settle()

    def _creating(self, actions: Sequence[Action]) -> dict[str, dict[str, Any]]:
        creating = {kind: dict(items) for kind, items in self._before["creating"].items()}
        for action in actions:
            kind, _, key = action.item.partition(":")
            if action.owns is not None:
                creating.setdefault(kind, {})[key] = action.owns
        return creating
