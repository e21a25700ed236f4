"""An API server in memory: enough of its manners for the recovery flow, and none of its speed limits."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from components.longhorn.flow.interfaces import KINDS, ClusterError, Document, Ref


class MemoryCluster:
    """Objects by reference, with ids, versions, finalizers, and merge and JSON patches."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.objects: dict[Ref, Document] = {}
        self.mutations: list[str] = []
        """Every change asked for through this interface, in order."""
        self.commands: list[tuple[str, str]] = []
        self.command_answer = (0, "ok")
        self.absent_kinds: set[str] = set()
        self._ids = itertools.count(1)
        self._now = now

    def get(self, ref: Ref) -> Document | None:
        self._served(ref.kind)
        found = self.objects.get(ref)
        return copy.deepcopy(found) if found else None

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Document]:
        self._served(kind)
        wanted = dict(item.split("=") for item in labels.split(",") if item)
        return [
            copy.deepcopy(item)
            for ref, item in sorted(self.objects.items(), key=lambda pair: str(pair[0]))
            if ref.kind == kind
            and namespace in {"", ref.namespace}
            and wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    def create(self, ref: Ref, body: Document) -> Document:
        self.mutations.append(f"create {ref}")
        return self.add(ref, body)

    def patch(self, ref: Ref, body: Mapping[str, Any] | Sequence[Mapping[str, Any]], subresource: str = "") -> Document:
        self.mutations.append(f"patch {ref}{'/' + subresource if subresource else ''} {body}")
        return self.change(ref, body)

    def delete(
        self,
        ref: Ref,
        *,
        uid: str = "",
        grace_seconds: int | None = None,  # noqa: ARG002 - the protocol's
    ) -> None:
        self.mutations.append(f"delete {ref}")
        found = self.objects.get(ref)
        if found is None:
            return
        if uid and found["metadata"]["uid"] != uid:
            raise ClusterError(409, "the uid in the precondition is another")
        self.remove(ref)

    def replace(self, ref: Ref, body: Document, subresource: str = "") -> Document:
        self.mutations.append(f"replace {ref}{'/' + subresource if subresource else ''}")
        found = self.objects.get(ref)
        if found is None:
            raise ClusterError(404, f"{ref} not found")
        if subresource == "finalize" and not body["spec"].get("finalizers"):
            self.objects.pop(ref)
            return body
        found["spec"] = copy.deepcopy(body.get("spec", {}))
        return copy.deepcopy(found)

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> tuple[int, str]:
        self.mutations.append(f"execute {namespace}/{pod}")
        self.commands.append((pod, command[-1]))
        return self.command_answer

    # What a test and the fake controllers use: the same effects, not counted as the flow's.

    def add(self, ref: Ref, body: Document) -> Document:
        if ref in self.objects:
            raise ClusterError(409, f"{ref} already exists")
        stored = copy.deepcopy(body)
        kind = KINDS[ref.kind]
        stored.update(apiVersion=kind.api_version, kind=kind.kind)
        metadata = stored.setdefault("metadata", {})
        metadata.update(name=ref.name, uid=f"uid-{next(self._ids)}", resourceVersion="1")
        metadata.setdefault("creationTimestamp", datetime.fromtimestamp(self._now(), UTC).isoformat())
        if ref.namespace:
            metadata["namespace"] = ref.namespace
        self.objects[ref] = stored
        return copy.deepcopy(stored)

    def change(self, ref: Ref, body: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Document:
        found = self.objects.get(ref)
        if found is None:
            raise ClusterError(404, f"{ref} not found")
        uid = found["metadata"]["uid"]
        if isinstance(body, Mapping):
            if (body.get("metadata") or {}).get("uid", uid) != uid:
                raise ClusterError(409, "the uid is another")
            _merge(found, body)
        else:
            for operation in body:
                _operate(found, operation)
        if found["metadata"].get("deletionTimestamp") and not found["metadata"].get("finalizers"):
            self.objects.pop(ref, None)
        return copy.deepcopy(found)

    def remove(self, ref: Ref) -> None:
        found = self.objects[ref]
        if found["metadata"].get("finalizers"):
            found["metadata"].setdefault("deletionTimestamp", datetime.fromtimestamp(self._now(), UTC).isoformat())
        else:
            self.objects.pop(ref)

    def _served(self, kind: str) -> None:
        if kind in self.absent_kinds:
            raise ClusterError(404, f"no kind {kind}")


class Controllers:
    """The same objects as controllers change them: not counted as the flow's mutations."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster

    def get(self, ref: Ref) -> Document | None:
        return self._cluster.get(ref)

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Document]:
        return self._cluster.list(kind, namespace, labels)

    def create(self, ref: Ref, body: Document) -> Document:
        return self._cluster.add(ref, body)

    def patch(
        self,
        ref: Ref,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        subresource: str = "",  # noqa: ARG002 - the protocol's
    ) -> Document:
        return self._cluster.change(ref, body)

    def delete(
        self,
        ref: Ref,
        *,
        uid: str = "",  # noqa: ARG002 - the protocol's
        grace_seconds: int | None = None,  # noqa: ARG002 - the protocol's
    ) -> None:
        self._cluster.remove(ref)

    def replace(self, ref: Ref, body: Document, subresource: str = "") -> Document:
        raise NotImplementedError

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> tuple[int, str]:
        raise NotImplementedError


def _merge(target: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            below = target.get(key)
            if not isinstance(below, dict):
                below = target[key] = {}
            _merge(below, value)
        else:
            target[key] = copy.deepcopy(value)


def _operate(target: dict[str, Any], operation: Mapping[str, Any]) -> None:
    *above, last = operation["path"].strip("/").split("/")
    place: Any = target
    for step in above:
        place = place.get(step, {})
    if operation["op"] != "remove" or last not in place:
        raise ClusterError(422, f"{operation['path']} is not there")
    place.pop(last)
