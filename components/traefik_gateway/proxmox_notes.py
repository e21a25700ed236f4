"""Changes of guests' notes: one read and at most one write each, tried again where that helps, side by side."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from .notes import NotesError, NotesUpdate
from .proxmox import BusyError, ChangedError, Guest, Proxmox, ProxmoxError, UnreachableError

__all__ = ["PARALLEL", "PAUSES", "change_notes", "side_by_side"]

PARALLEL: Final = 8
"""So many guests are worked on at once."""
PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each further attempt; after the last, the guest has failed (TPX-119, TPX-227)."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def change_notes(
    api: Proxmox,
    guest: Guest,
    work_out: Callable[[str], NotesUpdate],
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> NotesUpdate:
    """Read the notes, work out the new ones, and write them if they differ (TPX-137).

    Each attempt reads anew, so nothing that anybody wrote meanwhile is lost (TPX-120), and a write whose answer was
    lost is seen to be done. Raises ProxmoxError, or NotesError before anything is written.
    """
    for pause in (*PAUSES, None):
        try:
            notes = api.notes(guest)
            update = work_out(notes.text)
            if update.changed:
                api.write_notes(guest, update.text, notes.digest)
        except (BusyError, ChangedError, UnreachableError) as error:
            if pause is None:
                message = f"{error} (tried {len(PAUSES) + 1} times)"
                raise type(error)(message) from None
            sleep(pause)
        else:
            return update
    raise AssertionError("the last attempt returns or raises")


def side_by_side(
    items: Mapping[str, _Item], action: Callable[[_Item], _Result]
) -> tuple[dict[str, _Result], dict[str, str]]:
    """Do something with each item: results and failures by name. One failure stops no other (TPX-196)."""
    done: dict[str, _Result] = {}
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        for name, future in [(name, pool.submit(action, item)) for name, item in items.items()]:
            try:
                done[name] = future.result()
            except (ProxmoxError, NotesError) as error:
                failed[name] = str(error)
    return done, failed
