"""From a resource token to a kind of the API server: its path, and whether its objects live in namespaces."""

import re
import threading
import time
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from toolchain.plugins.kit import Properties, ProviderError

from .client import Client, Object

_TOKEN = re.compile(
    r"kubernetes:(?:(?P<group>[a-z0-9.-]+)/)?(?P<version>v\d+(?:(?:alpha|beta)\d+)?):(?P<kind>[A-Z]\w*)"
)
NEW_KIND_SECONDS = 30.0
_COMPONENT_GROUPS = frozenset({"helm.sh", "yaml", "kustomize"})


class Kind(NamedTuple):
    """Group (empty for the core group), version and kind."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """As in an object: ``v1``, ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The path of the group and version on the server."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @classmethod
    def of_token(cls, token: str) -> "Kind":
        """Read ``kubernetes:apps/v1:Deployment``; raises :class:`ProviderError` for what is no plain object."""
        match = _TOKEN.fullmatch(token)
        group = (match["group"] or "") if match else ""
        if match is None or group in _COMPONENT_GROUPS:
            raise ProviderError(
                f"{token} is not an object of the Kubernetes API: this local plugin serves plain objects only, "
                "no Helm, Kustomize or YAML components."
            )
        return cls("" if group == "core" else group, match["version"], match["kind"])

    @classmethod
    def of_object(cls, item: Object) -> "Kind":
        """Read ``apiVersion`` and ``kind`` of an object."""
        group, _, version = str(item["apiVersion"]).rpartition("/")
        return cls(group, version, str(item["kind"]))


@dataclass(frozen=True)
class Resource:
    """A kind as the server has it."""

    kind: Kind
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of one object, or of all."""
        middle = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{self.kind.root}{middle}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")

    def identity(self, namespace: str, name: str) -> str:
        """Return the resource's id: ``namespace/name`` or ``name``."""
        return f"{namespace}/{name}" if self.namespaced else name

    def locate(self, identity: str) -> tuple[str, str]:
        """Read namespace and name from an id; without a namespace it is ``default``, as in the official provider."""
        namespace, _, name = identity.rpartition("/")
        if not name or "/" in namespace or (namespace and not self.namespaced):
            form = "namespace/name" if self.namespaced else "name"
            raise ProviderError(f"{identity!r} is not an id of a {self.kind.kind}: its form is {form}.")
        return (namespace or "default") if self.namespaced else "", name


class Discovery:
    """What the server can do, asked once per group and version and remembered."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: dict[Kind, Resource] = {}
        self._planned: dict[Kind, Resource] = {}

    def find(self, kind: Kind) -> Resource | None:
        """Return the kind as the server has it now; None if it does not."""
        known = self._known.get(kind)
        if known is not None:
            return known
        # One question at a time: 50 resources of a group would otherwise ask it 50 times at once.
        with self._lock:
            if kind not in self._known:
                self._learn(kind)
            return self._known.get(kind)

    def resource(self, kind: Kind, token: str) -> Resource:
        """Return the kind, as the server has it or will have it.

        Raises :class:`ProviderError` which names the token and what is missing.
        """
        resource = self.find(kind) or self._planned.get(kind)
        if resource is None:
            what = (
                "" if kind.group == "" else f": its CustomResourceDefinition or API service ({kind.group}) is missing"
            )
            raise ProviderError(
                f"{token}: the Kubernetes API server {self._client.server} has no kind {kind.kind!r} in "
                f"{kind.api_version}{what}. Install it first, or depend on the resource which does."
            )
        return resource

    def plan(self, definition: Properties) -> None:
        """Take note of a CustomResourceDefinition which this run creates, or would create."""
        spec = definition.get("spec") or {}
        names = spec.get("names") or {}
        for version in spec.get("versions") or []:
            kind = Kind(str(spec.get("group")), str(version.get("name")), str(names.get("kind")))
            self._planned[kind] = Resource(kind, str(names.get("plural")), spec.get("scope") == "Namespaced")

    def await_served(self, kind: Kind, cancelled: threading.Event) -> None:
        """Wait until a kind whose definition was just created is served; the server takes a moment."""
        end = time.monotonic() + NEW_KIND_SECONDS
        while kind in self._planned and self.find(kind) is None and time.monotonic() < end and not cancelled.wait(0.1):
            pass

    def _learn(self, kind: Kind) -> None:
        for entry in (self._client.find(kind.root) or {}).get("resources", []):
            if "/" not in entry["name"]:
                found = Kind(kind.group, kind.version, entry["kind"])
                self._known[found] = Resource(found, entry["name"], entry["namespaced"])
