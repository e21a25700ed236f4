"""What a resource created on its host, as the agent notes it: kind to key to details. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

__all__ = ["Owned", "kept", "presumed"]

Owned: TypeAlias = dict[str, dict[str, Any]]


def kept(owned: Mapping[str, Mapping[str, Any]], elsewhere: set[tuple[str, str]]) -> Owned:
    """Leave out what another resource of this run wants now: it is not removed from under it."""
    left = {
        kind: {key: note for key, note in items.items() if (kind, key) not in elsewhere}
        for kind, items in owned.items()
    }
    return {kind: items for kind, items in left.items() if items}


def presumed(owned: Mapping[str, Mapping[str, Any]], actions: Iterable[Mapping[str, Any]]) -> Owned:
    """Add what was about to be created when the host was lost: what was not, the next run creates."""
    found = {kind: dict(items) for kind, items in owned.items()}
    for action in actions:
        if action["do"] == "create":
            kind, _, key = action["item"].partition(":")
            found.setdefault(kind, {}).setdefault(key, True)
    return found
