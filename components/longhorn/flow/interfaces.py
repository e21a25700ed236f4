"""What the recovery flow needs of the world, as small protocols: a cluster, a node, a clock (DRV-005).

The flow decides; these act. The real ones are in :mod:`.kubernetes_cluster`, :mod:`.transport_node` and
:mod:`.system_clock`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

__all__ = [
    "CSI_DRIVER",
    "CSI_SOCKET",
    "KINDS",
    "Clock",
    "Cluster",
    "ClusterError",
    "Completed",
    "Document",
    "Kind",
    "Node",
    "NodeError",
    "Ref",
    "name_of",
]

CSI_DRIVER: Final = "driver.longhorn.io"
"""The name Longhorn's storage driver registers."""
CSI_SOCKET: Final = f"/var/lib/kubelet/plugins/{CSI_DRIVER}/csi.sock"
"""Where the driver listens on a node."""

Document = dict[str, Any]
"""A Kubernetes object, as JSON gives it."""

_CONFLICT: Final = 409
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER: Final = 500


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object and where the API server keeps it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the address of one object, or of all without a name."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{middle}/{self.plural}" + (f"/{name}" if name else "")


_ADMISSION: Final = "admissionregistration.k8s.io/v1"
_LONGHORN: Final = "longhorn.io/v1beta2"
_LONGHORN_KINDS: Final = {
    "Volume": "volumes",
    "Engine": "engines",
    "Replica": "replicas",
    "Setting": "settings",
    "Node": "nodes",
    "RecurringJob": "recurringjobs",
    "BackupTarget": "backuptargets",
    "BackupVolume": "backupvolumes",
    "Backup": "backups",
    "BackingImage": "backingimages",
    "Orphan": "orphans",
    "VolumeAttachment": "volumeattachments",
    "EngineImage": "engineimages",
    "InstanceManager": "instancemanagers",
    "ShareManager": "sharemanagers",
    "Snapshot": "snapshots",
    "BackingImageManager": "backingimagemanagers",
    "BackingImageDataSource": "backingimagedatasources",
    "BackupBackingImage": "backupbackingimages",
    "SystemBackup": "systembackups",
    "SystemRestore": "systemrestores",
    "SupportBundle": "supportbundles",
}
"""All of the API group: an object of any of them can hold the namespace by its finalizer (LHP-042)."""

KINDS: Final[Mapping[str, Kind]] = {
    **{
        kind.kind: kind
        for kind in (
            Kind("v1", "Namespace", "namespaces", namespaced=False),
            Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False),
            Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Kind("v1", "Pod", "pods"),
            Kind("v1", "Endpoints", "endpoints"),
            Kind("apps/v1", "Deployment", "deployments"),
            Kind("apps/v1", "StatefulSet", "statefulsets"),
            Kind("apps/v1", "DaemonSet", "daemonsets"),
            Kind("apps/v1", "ReplicaSet", "replicasets"),
            Kind("storage.k8s.io/v1", "CSIDriver", "csidrivers", namespaced=False),
            Kind("storage.k8s.io/v1", "CSINode", "csinodes", namespaced=False),
            Kind("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", namespaced=False),
            Kind("argoproj.io/v1alpha1", "Application", "applications"),
            Kind("helm.cattle.io/v1", "HelmChart", "helmcharts"),
            Kind(_ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", namespaced=False),
            Kind(_ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", namespaced=False),
        )
    },
    **{f"longhorn.{kind}": Kind(_LONGHORN, kind, plural) for kind, plural in _LONGHORN_KINDS.items()},
}
"""Every kind the flow touches; Longhorn's carry the prefix ``longhorn.``, for two of them are Kubernetes' names too."""


@dataclass(frozen=True, slots=True)
class Ref:
    """One object, by kind (a key of KINDS), name and namespace."""

    kind: str
    name: str
    namespace: str = ""

    @property
    def path(self) -> str:
        """Its address below the API server."""
        return KINDS[self.kind].path(self.namespace, self.name)

    def __str__(self) -> str:
        """Name it as a person would."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.replace('longhorn.', 'Longhorn ')} {place}{self.name}"


class ClusterError(Exception):
    """The API server refused or did not answer. ``status`` is the HTTP status, 0 without an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in {0, _CONFLICT, _TOO_MANY} or self.status >= _SERVER

    @property
    def missing(self) -> bool:
        """Whether the object, or its kind, does not exist."""
        return self.status == _NOT_FOUND


class Cluster(Protocol):
    """The API server. Every method raises ClusterError."""

    def get(self, ref: Ref) -> Document | None:
        """Return an object, or ``None``."""

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Document]:
        """Return the objects of a kind, everywhere without a namespace. A kind that is not served raises (404)."""

    def create(self, ref: Ref, body: Document) -> Document:
        """Create an object."""

    def patch(self, ref: Ref, body: Mapping[str, Any] | Sequence[Mapping[str, Any]], subresource: str = "") -> Document:
        """Change an object: a mapping is a merge patch, a list a JSON patch."""

    def delete(self, ref: Ref, *, uid: str = "", grace_seconds: int | None = None) -> None:
        """Delete an object, only the one with this ``uid`` if given; a missing one is no error."""

    def replace(self, ref: Ref, body: Document, subresource: str = "") -> Document:
        """Replace an object or its subresource."""

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a pod: its exit status and its output."""


class NodeError(Exception):
    """A node cannot be reached, or a command there could not be started."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command on a node ended."""

    status: int
    out: str
    err: str


class Node(Protocol):
    """A machine that holds replica directories. Commands run as root there. Every method raises NodeError."""

    @property
    def name(self) -> str:
        """Longhorn's name for it."""

    def run(self, command: Sequence[str], *, timeout: float = 60) -> Completed:
        """Run a command given as an argument vector, at most ``timeout`` seconds (VAR-014)."""

    def put(self, content: bytes, target: str, mode: int = 0o644) -> None:
        """Write a file, atomically."""


class Clock(Protocol):
    """Time, so that no test has to wait for it (LHR-170)."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def now(self) -> float:
        """Seconds since 1970."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


def name_of(document: Document) -> str:
    """Return an object's name."""
    return str(document["metadata"]["name"])
