"""Reads that are repeated when an answer passes by itself. Changes are never repeated blindly: the flow looks first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from .interfaces import Clock, Cluster, ClusterError, Document, Ref

__all__ = ["PatientCluster"]

_TRIES: Final = 6
_FIRST_PAUSE: Final = 0.5
_T = TypeVar("_T")


class PatientCluster:
    """A cluster whose reads bear a busy or restarting API server for some seconds."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock

    def get(self, ref: Ref) -> Document | None:
        """Return an object, or ``None``."""
        return self._repeated(lambda: self._cluster.get(ref))

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Document]:
        """Return the objects of a kind."""
        return self._repeated(lambda: self._cluster.list(kind, namespace, labels))

    def create(self, ref: Ref, body: Document) -> Document:
        """Create an object."""
        return self._cluster.create(ref, body)

    def patch(self, ref: Ref, body: Mapping[str, Any] | Sequence[Mapping[str, Any]], subresource: str = "") -> Document:
        """Change an object."""
        return self._cluster.patch(ref, body, subresource)

    def delete(self, ref: Ref, *, uid: str = "", grace_seconds: int | None = None) -> None:
        """Delete an object."""
        self._cluster.delete(ref, uid=uid, grace_seconds=grace_seconds)

    def replace(self, ref: Ref, body: Document, subresource: str = "") -> Document:
        """Replace an object or its subresource."""
        return self._cluster.replace(ref, body, subresource)

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a pod."""
        return self._cluster.execute(namespace, pod, command)

    def _repeated(self, read: Callable[[], _T]) -> _T:
        for number in range(_TRIES):
            try:
                return read()
            except ClusterError as error:
                if not error.passing or number == _TRIES - 1:
                    raise
                self._clock.sleep(_FIRST_PAUSE * 2**number)
        raise AssertionError  # the loop returns or raises
