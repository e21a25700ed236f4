"""When an object is usable, per kind, as the official provider documents it: pure rules.

A rule returns what is still missing, one sentence each; nothing missing means ready. It raises
:class:`HopelessError` for what no waiting will change.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from toolchain.plugins.kit import ProviderError

from .client import Object
from .discovery import Kind
from .manifest import annotation

MINUTE = 60.0


class HopelessError(Exception):
    """The object has failed for good."""


class Lookup(Protocol):
    """Reads the objects which a rule needs besides its own."""

    def one(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None."""

    def many(self, kind: Kind, namespace: str, labels: str) -> list[Object]:
        """Return the objects which match a label selector."""


Rule: TypeAlias = Callable[[Object, Lookup], Iterator[str]]

_ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice")
_STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass")
_SERVICE = Kind("", "v1", "Service")
_POD = Kind("", "v1", "Pod")


def _deployment(item: Object) -> Iterator[str]:
    spec, status = item["spec"], item.get("status", {})
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        yield "the deployment controller has not seen this version yet"
        return
    if status.get("updatedReplicas", 0) < wanted:
        yield f"{status.get('updatedReplicas', 0)} of {wanted} replicas are of this version"
    elif status.get("replicas", 0) > status.get("updatedReplicas", 0):
        yield f"{status['replicas'] - status.get('updatedReplicas', 0)} replicas of an earlier version still run"
    if status.get("availableReplicas", 0) < wanted:
        yield f"{status.get('availableReplicas', 0)} of {wanted} replicas are available"
    yield from _condition(item, "Available", "True")
    if (progress := _find(item, "Progressing")) and progress.get("status") == "False":
        yield f"Progressing is False: {_said(progress)}"


def _stateful_set(item: Object) -> Iterator[str]:
    spec, status = item["spec"], item.get("status", {})
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        yield "the stateful set controller has not seen this version yet"
        return
    if status.get("readyReplicas", 0) < wanted:
        yield f"{status.get('readyReplicas', 0)} of {wanted} replicas are ready"
    rolling = spec.get("updateStrategy", {}).get("type", "RollingUpdate") == "RollingUpdate"
    partition = spec.get("updateStrategy", {}).get("rollingUpdate", {}).get("partition", 0)
    if rolling and status.get("updatedReplicas", 0) < wanted - partition:
        yield f"{status.get('updatedReplicas', 0)} of {wanted - partition} replicas are of this version"


def _daemon_set(item: Object) -> Iterator[str]:
    status = item.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        yield "the daemon set controller has not seen this version yet"
        return
    on_delete = item["spec"].get("updateStrategy", {}).get("type") == "OnDelete"
    if not on_delete and status.get("updatedNumberScheduled", 0) < wanted:
        yield f"{status.get('updatedNumberScheduled', 0)} of {wanted} pods are of this version"
    if status.get("numberAvailable", 0) < wanted:
        yield f"{status.get('numberAvailable', 0)} of {wanted} pods are available"


def _replication_controller(item: Object) -> Iterator[str]:
    wanted, available = item["spec"].get("replicas", 1), item.get("status", {}).get("availableReplicas", 0)
    if available != wanted:
        yield f"{available} of {wanted} replicas are available"


def _pod(item: Object) -> Iterator[str]:
    phase = item.get("status", {}).get("phase")
    if phase == "Succeeded":
        return
    if phase == "Failed":
        raise HopelessError(
            f"the pod has failed: {item['status'].get('message') or item['status'].get('reason') or phase}"
        )
    yield from _condition(item, "Ready", "True")
    yield from _containers(item)


def _job(item: Object) -> Iterator[str]:
    if (failed := _find(item, "Failed")) and failed.get("status") == "True":
        raise HopelessError(f"the job has failed: {_said(failed)}")
    yield from _condition(item, "Complete", "True")


def _service(item: Object, lookup: Lookup) -> Iterator[str]:
    spec = item["spec"]
    if spec.get("type") == "LoadBalancer" and not _load_balancer(item):
        yield "it has no load balancer address yet"
    # Without a selector somebody else writes the endpoints; an external name has none.
    awaited = spec.get("type") != "ExternalName" and spec.get("selector") and spec.get("clusterIP") != "None"
    if awaited and not _has_endpoints(item, lookup):
        yield "no ready pod matches its selector"


def _ingress(item: Object, lookup: Lookup) -> Iterator[str]:
    namespace = item["metadata"]["namespace"]
    for name in sorted(_backends(item["spec"])):
        service = lookup.one(_SERVICE, namespace, name)
        if service is None:
            yield f"its Service {name!r} does not exist"
        elif service["spec"].get("type") != "ExternalName" and not _has_endpoints(service, lookup):
            yield f"its Service {name!r} has no ready endpoint"
    if not _load_balancer(item):
        yield "no ingress controller has given it an address (status.loadBalancer)"


def _claim(item: Object, lookup: Lookup) -> Iterator[str]:
    phase = item.get("status", {}).get("phase")
    class_name = item["spec"].get("storageClassName")
    storage = lookup.one(_STORAGE_CLASS, "", class_name) if class_name else None
    waits = storage is not None and storage.get("volumeBindingMode") == "WaitForFirstConsumer"
    if phase != "Bound" and not (waits and phase == "Pending"):
        yield f"the claim is {phase or 'not seen by a controller yet'}, not Bound"


def _volume(item: Object) -> Iterator[str]:
    phase = item.get("status", {}).get("phase")
    if phase not in {"Available", "Bound"}:
        yield f"the volume is {phase or 'not seen by a controller yet'}, not Available or Bound"


def _quota(item: Object) -> Iterator[str]:
    if item["spec"].get("hard", {}) != item.get("status", {}).get("hard", {}):
        yield "the quota controller has not taken it over yet"


def _secret(item: Object) -> Iterator[str]:
    if item.get("type") == "kubernetes.io/service-account-token" and not item.get("data"):
        yield "its token has not been issued yet"


def _namespace(item: Object) -> Iterator[str]:
    phase = item.get("status", {}).get("phase")
    if phase != "Active":
        yield f"the namespace is {phase or 'not Active yet'}"


def _definition(item: Object) -> Iterator[str]:
    yield from _condition(item, "Established", "True")


def _alone(rule: Callable[[Object], Iterator[str]]) -> Rule:
    """Make a rule of one which looks at nothing but the object."""
    return lambda item, _lookup: rule(item)


RULES: dict[tuple[str, str], tuple[Rule, float]] = {
    ("apps", "Deployment"): (_alone(_deployment), 10 * MINUTE),
    ("apps", "StatefulSet"): (_alone(_stateful_set), 10 * MINUTE),
    ("apps", "DaemonSet"): (_alone(_daemon_set), 10 * MINUTE),
    ("batch", "Job"): (_alone(_job), 10 * MINUTE),
    ("networking.k8s.io", "Ingress"): (_ingress, 10 * MINUTE),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (_alone(_definition), MINUTE),
    ("", "Namespace"): (_alone(_namespace), MINUTE),
    ("", "PersistentVolume"): (_alone(_volume), 5 * MINUTE),
    ("", "PersistentVolumeClaim"): (_claim, 5 * MINUTE),
    ("", "Pod"): (_alone(_pod), 10 * MINUTE),
    ("", "ReplicationController"): (_alone(_replication_controller), 10 * MINUTE),
    ("", "ResourceQuota"): (_alone(_quota), MINUTE),
    ("", "Secret"): (_alone(_secret), 5.0),
    ("", "Service"): (_service, 10 * MINUTE),
}
"""The rule of each kind which has one, and how long it is waited for (seconds)."""

DELETE_SECONDS = 10 * MINUTE
CUSTOM_SECONDS = 10 * MINUTE


def rule_of(item: Object) -> tuple[Rule, float] | None:
    """Return the object's rule, from ``pulumi.com/waitFor`` or of its kind; None if it is ready at once."""
    text = annotation(item, "waitFor")
    if text is not None:
        return wait_for(text), CUSTOM_SECONDS
    kind = Kind.of_object(item)
    return RULES.get((kind.group, kind.kind))


def wait_for(text: str) -> Rule:
    """Read ``pulumi.com/waitFor``: ``condition=Ready``, ``jsonpath={.status.phase}=Running``, or a JSON list."""
    checks = [_wait_for_one(str(each)) for each in (json.loads(text) if text.lstrip().startswith("[") else [text])]

    def rule(item: Object, lookup: Lookup) -> Iterator[str]:
        for check in checks:
            yield from check(item, lookup)

    return rule


_CONDITION = re.compile(r"condition=(?P<type>\w+)(?:=(?P<status>\w+))?")
_JSON_PATH = re.compile(r"jsonpath=\{?\.?(?P<path>[\w.-]+)\}?(?:=(?P<value>.*))?")


def _wait_for_one(text: str) -> Rule:
    if match := _CONDITION.fullmatch(text):
        wanted = match["type"], match["status"] or "True"
        return lambda item, _: _condition(item, *wanted)
    if (match := _JSON_PATH.fullmatch(text)) is None:
        raise ProviderError(
            f"The annotation pulumi.com/waitFor has {text!r}: this local plugin reads condition=<type>[=<status>] and "
            "jsonpath={.a.b}[=<value>], or a JSON list of them."
        )
    path, value = match["path"], match["value"]

    def rule(item: Object) -> Iterator[str]:
        found: object = item
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        shown = str(found).lower() if isinstance(found, bool) else str(found)
        if found is None or (value is not None and shown != value):
            yield f".{path} is {'absent' if found is None else repr(shown)}" + (f", not {value!r}" if value else "")

    return _alone(rule)


def pods_of(item: Object, lookup: Lookup) -> list[str]:
    """Say what is wrong with the pods of a workload."""
    labels = item.get("spec", {}).get("selector", {}).get("matchLabels") or {}
    if not labels:
        return []
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    pods = lookup.many(_POD, item["metadata"]["namespace"], selector)
    return [f"pod {pod['metadata']['name']}: {reason}" for pod in pods for reason in _containers(pod)]


def _containers(pod: Object) -> Iterator[str]:
    if (scheduled := _find(pod, "PodScheduled")) and scheduled.get("status") == "False":
        yield _said(scheduled)
    status = pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state", {})
        waiting, ended = (
            state.get("waiting"),
            state.get("terminated") or container.get("lastState", {}).get("terminated"),
        )
        if waiting and waiting.get("reason") not in {"ContainerCreating", "PodInitializing"}:
            yield f"container {container['name']} waits: {_said(waiting)}"
        if ended and ended.get("exitCode") and not container.get("ready"):
            yield f"container {container['name']} ended with exit status {ended['exitCode']}: {_said(ended)}"


def _condition(item: Object, name: str, wanted: str) -> Iterator[str]:
    condition = _find(item, name)
    if condition is None:
        yield f"condition {name} is not reported yet"
    elif condition.get("status") != wanted:
        yield f"condition {name} is {condition.get('status')}: {_said(condition)}"


def _find(item: Object, name: str) -> Object | None:
    conditions = item.get("status", {}).get("conditions")
    return next((condition for condition in conditions or [] if condition.get("type") == name), None)


def _said(condition: Object) -> str:
    return (
        ": ".join(str(part) for part in (condition.get("reason"), condition.get("message")) if part)
        or "no reason given"
    )


def _load_balancer(item: Object) -> bool:
    return bool(item.get("status", {}).get("loadBalancer", {}).get("ingress"))


def _has_endpoints(service: Object, lookup: Lookup) -> bool:
    metadata = service["metadata"]
    slices = lookup.many(_ENDPOINT_SLICE, metadata["namespace"], f"kubernetes.io/service-name={metadata['name']}")
    endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or []]
    # An absent `ready` means ready (EndpointConditions of the API).
    return any(endpoint.get("conditions", {}).get("ready", True) for endpoint in endpoints)


def _backends(spec: Object) -> set[str]:
    found = [spec.get("defaultBackend", {})]
    found += [path["backend"] for rule in spec.get("rules", []) for path in rule.get("http", {}).get("paths", [])]
    return {backend["service"]["name"] for backend in found if "service" in backend}
