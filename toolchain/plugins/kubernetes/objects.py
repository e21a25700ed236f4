"""Objects on one API server: apply, read, delete, with refusals in words a user can act on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from toolchain.plugins.kit import ProviderError

from .client import APPLY, ApiError, Client, Object
from .discovery import Discovery, Kind, Resource
from .manifest import redacted

_TYPED_PATCH = "failed to create typed patch object"
_ABSENT_VERSION = "1"
"""A resource version which no object has: with it, an apply only ever creates."""


class ExistsError(ProviderError):
    """An object which should be created is already there."""


class NamespaceMissingError(ProviderError):
    """The object's namespace does not exist."""


@dataclass(frozen=True)
class Target:
    """One object: its kind, where it is, and how messages call it."""

    resource: Resource
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Its path on the server."""
        return self.resource.path(self.namespace, self.name)

    @property
    def identity(self) -> str:
        """Its id."""
        return self.resource.identity(self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.resource.kind.kind} {self.identity}"


class Objects:
    """What can be done with objects. Also the :class:`.readiness.Lookup` of the rules."""

    def __init__(self, client: Client, discovery: Discovery) -> None:
        self._client = client
        self._discovery = discovery

    def read(self, target: Target) -> Object | None:
        """Return the live object, or None."""
        return self._client.find(target.path)

    def apply(
        self,
        target: Target,
        item: Object,
        manager: str,
        *,
        create_only: bool = False,
        force: bool = False,
        dry_run: bool = False,
        warn: Callable[[str], None] | None = None,
    ) -> Object:
        """Apply the object on the server, which merges it with what others manage; returns the result.

        Unknown fields are refused. ``create_only`` raises :class:`ExistsError` for one which is there, in the same
        request, so that nobody can come between. ``force`` takes fields over from other managers.
        """
        if create_only:
            item = {**item, "metadata": {**item["metadata"], "resourceVersion": _ABSENT_VERSION}}
        params = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        params |= {"dryRun": "All"} if dry_run else {}
        with _explained(target, item, create_only=create_only):
            return self._client.request("PATCH", target.path, params, item, content_type=APPLY, warn=warn)

    def delete(self, target: Target, propagation: str) -> None:
        """Start the deletion; an object which is gone is no error."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        try:
            with _explained(target, {}, create_only=False):
                self._client.request("DELETE", target.path, body=body)
        except ProviderError as error:
            cause = error.__cause__
            if not isinstance(cause, ApiError) or cause.status != HTTPStatus.NOT_FOUND:
                raise

    def warnings(self, item: Object) -> list[str]:
        """Return the last warning events about an object."""
        metadata = item["metadata"]
        selector = f"involvedObject.uid={metadata['uid']},type=Warning"
        path = f"/api/v1/namespaces/{metadata.get('namespace', 'default')}/events"
        events = self._list(path, {"fieldSelector": selector})
        events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return [f"event {event.get('reason')}: {event.get('message')}" for event in events[-3:]]

    def one(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object of a built-in kind, or None."""
        resource = self._discovery.find(kind)
        return self._client.find(resource.path(namespace, name)) if resource else None

    def many(self, kind: Kind, namespace: str, labels: str) -> list[Object]:
        """Return the objects of a built-in kind which match a label selector."""
        resource = self._discovery.find(kind)
        return self._list(resource.path(namespace), {"labelSelector": labels}) if resource else []

    def _list(self, path: str, params: Mapping[str, str]) -> list[Any]:
        items = self._client.get(path, params).get("items")
        return items if isinstance(items, list) else []


@contextmanager
def _explained(target: Target, item: Object, *, create_only: bool) -> Iterator[None]:
    """Turn the server's refusal into a sentence which names the object and what to do."""
    try:
        yield
    except ApiError as error:
        its_own = error.about in {"", target.resource.plural}
        if error.status == HTTPStatus.CONFLICT and create_only and its_own:
            raise ExistsError(
                f"{target} exists already: import it (`import_` with id {target.identity!r}), or set the provider's "
                "upsertExistingObjects to take it over."
            ) from error
        if error.conflicts:
            fields = "; ".join(f"{cause.field} ({cause.message})" for cause in error.conflicts)
            raise ProviderError(
                f"{target}: fields are managed by somebody else with other values: {fields}. Leave them out, or take "
                'them over with the annotation pulumi.com/patchForce: "true" or the provider\'s enablePatchForce.'
            ) from error
        if error.status == HTTPStatus.NOT_FOUND and error.message.startswith("namespaces "):
            raise NamespaceMissingError(
                f"{target}: its namespace {target.namespace!r} does not exist; create it first, or depend on the "
                "resource which does."
            ) from error
        raise ProviderError(f"{target}: {redacted(_reason(error), item)}") from error


def _reason(error: ApiError) -> str:
    if error.message.startswith(_TYPED_PATCH):
        return "unknown or mistyped field: " + error.message.partition("): ")[2]
    return error.message
