"""Which resource of this run has which role of which host, and what its document claims there."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from components.host.claims import claims, conflicts
from toolchain.plugins.kit import Failure, format_path

__all__ = ["Roles"]

_Host: TypeAlias = tuple[str, int, str]
_Document: TypeAlias = Mapping[str, Mapping[str, Any]]


class Roles:
    """The roles that were checked in this run. Threads may ask at once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Host, str, _Document]] = {}
        self._lock = threading.Lock()

    def add(self, urn: str, host: _Host, role: str, document: _Document) -> list[Failure]:
        """Note a role; returns what cannot be had beside the roles that were noted before it."""
        with self._lock:
            failures = [
                failure
                for other, (place, name, theirs) in self._known.items()
                if other != urn and place == host
                for failure in _failures(other.rsplit("::", 1)[-1], role == name, conflicts(document, theirs))
            ]
            if not failures:
                self._known[urn] = (host, role, document)
            return failures

    def elsewhere(self, urn: str, host: _Host) -> set[tuple[str, str]]:
        """Return the items, as kind and key, which other resources of this run want on the host: not to be removed."""
        with self._lock:
            return {
                (claim.kind, claim.key)
                for other, (place, _, document) in self._known.items()
                if other != urn and place == host
                for claim in claims(document)
            }


def _failures(other: str, same_role: bool, found: list[Any]) -> Iterator[Failure]:  # noqa: FBT001 - private
    if same_role:
        yield Failure("role", f"is also the role of the resource {other} on this host: give each its own name")
    for claim in found:
        path = format_path(("desired", claim.kind, claim.key))
        yield Failure(path, f"is also claimed by the resource {other} on this host: one of them must have it alone")
