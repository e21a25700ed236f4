"""What is wrong with Longhorn's control plane: a pure function over captured facts (LHP-020 .. LHP-024, DT-3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from .facts import deep, finished
from .interfaces import CSI_DRIVER, CSI_SOCKET, KINDS, Cluster, ClusterError, Document, Node, NodeError, Ref, name_of
from .node_tools import script
from .volumes import FlowSettings

__all__ = ["ControlPlaneFacts", "Diagnosis", "Level", "State", "capture", "diagnose"]


class State(StrEnum):
    """What a look at the control plane shows (an enumeration: no blanks, no cases, OQ-25)."""

    NONE = "none"
    SOFT = "soft"
    HARD = "hard"
    SOCKETS = "sockets"
    MISSING = "missing"
    TERMINATING = "terminating"
    UNREACHABLE = "unreachable"


class Level(StrEnum):
    """A rung of the ladder (section 8.4)."""

    L1 = "restart k3s"
    L2 = "touch the manifest"
    L3 = "restart the managers"
    L4 = "remove stale sockets"
    L5 = "delete the driver deployer's pods"
    L6 = "reinstall"


@dataclass(frozen=True)
class ControlPlaneFacts:
    """What was seen. ``None`` for a node: it did not answer."""

    api_answers: bool
    namespace: str
    """``Active``, ``Terminating``, or empty: there is none."""
    driver_registered: bool
    managers: tuple[tuple[str, bool], ...]
    """Each manager pod and whether it is Running."""
    sockets: dict[str, bool | None]
    """By node: whether the CSI socket is there."""
    data: dict[str, bool | None]
    """By node: whether the data directory is there."""
    registered_nodes: tuple[str, ...] = ()
    """Nodes on which the driver is registered (CSINode)."""
    stuck_deployer: bool = False
    webhook_deadlock: bool = False
    """Managers run, and yet the conversion webhook has no ready endpoint (FM-23)."""
    pending_finalizers: int = 0
    """Longhorn objects that keep a terminating namespace."""
    parts_down: tuple[str, ...] = ()
    """Parts of Longhorn with a pod that is not ready, each with how much that matters (LHP-071)."""
    unwell: tuple[str, ...] = ()
    """Volumes that are faulted or degraded."""


@dataclass(frozen=True)
class Diagnosis:
    """A finding: what it is, what may be done about it, in this order, and why."""

    state: State
    ladder: tuple[Level, ...]
    nodes: tuple[str, ...]
    """The nodes it is about; all for a general one."""
    reasons: tuple[str, ...]
    needs_confirmation: bool
    """Whether already the first step needs the cluster's name typed."""
    facts: ControlPlaneFacts = field(repr=False)

    @property
    def healthy(self) -> bool:
        """Whether nothing is to be done: nothing is then ever changed (INV-010, DEF-01)."""
        return self.state is State.NONE

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "state": self.state.value,
            "ladder": [level.name for level in self.ladder],
            "actions": [level.value for level in self.ladder],
            "nodes": list(self.nodes),
            "reasons": list(self.reasons),
            "needs_confirmation": self.needs_confirmation,
            "facts": asdict(self.facts),
        }


def diagnose(facts: ControlPlaneFacts) -> Diagnosis:
    """Decide, row by row of DT-3."""
    return _whole(facts) or _managers(facts) or _sockets(facts)


def _whole(facts: ControlPlaneFacts) -> Diagnosis | None:
    if not facts.api_answers:
        why = "the API server does not answer: look at the k3s services of the nodes first (CLR-004)"
        return _found(facts, State.UNREACHABLE, (), why)
    if not facts.namespace:
        why = "Longhorn's namespace does not exist: it must be installed again, over the old data path"
        return _found(facts, State.MISSING, (Level.L6,), why, confirm=True)
    if facts.namespace == "Terminating":
        why = f"Longhorn's namespace is being deleted, held by {facts.pending_finalizers} objects (LHP-042, LHP-045)"
        return _found(facts, State.TERMINATING, (Level.L6,), why, confirm=True)
    return None


def _managers(facts: ControlPlaneFacts) -> Diagnosis | None:
    down = [name for name, running in facts.managers if not running]
    all_run = bool(facts.managers) and not down
    managers = f"managers not Running: {', '.join(down)}" if down else "there is no manager"
    if not facts.driver_registered and all_run:
        ladder = (Level.L1, Level.L2, Level.L4, Level.L5, Level.L6)
        return _found(facts, State.SOFT, ladder, "the CSI driver is not registered although all managers run")
    if not facts.driver_registered:
        ladder = (Level.L1, Level.L3, Level.L4, Level.L5, Level.L6)
        return _found(facts, State.HARD, ladder, "the CSI driver is not registered", managers)
    if not all_run:
        return _found(facts, State.HARD, (Level.L1, Level.L3, Level.L5, Level.L6), managers)
    return None


def _sockets(facts: ControlPlaneFacts) -> Diagnosis:
    missing = tuple(name for name, there in facts.sockets.items() if there is False)
    if missing:
        why = f"no CSI socket on {', '.join(missing)}"
        return _found(facts, State.SOCKETS, (Level.L4, Level.L1), why, nodes=missing)
    return Diagnosis(State.NONE, (), (), _further(facts), needs_confirmation=False, facts=facts)


def _found(
    facts: ControlPlaneFacts,
    state: State,
    ladder: tuple[Level, ...],
    *reasons: str,
    confirm: bool = False,
    nodes: tuple[str, ...] = (),
) -> Diagnosis:
    about = nodes or tuple(facts.sockets)
    return Diagnosis(state, ladder, about, (*reasons, *_further(facts)), needs_confirmation=confirm, facts=facts)


def _further(facts: ControlPlaneFacts) -> tuple[str, ...]:
    """Say what is worth knowing whatever the state is."""
    further = []
    if facts.stuck_deployer:
        further.append("the driver deployer waits for a manager that never answers (FM-24)")
    if facts.webhook_deadlock:
        further.append("the conversion webhook has no ready endpoint: restart managers one after another (FM-23)")
    unregistered = [name for name in facts.sockets if name not in facts.registered_nodes]
    if facts.registered_nodes and unregistered:
        further.append(f"the driver is not registered on {', '.join(unregistered)} (LHP-066)")
    if facts.parts_down:
        further.append(f"not ready: {', '.join(facts.parts_down)}")
    if facts.unwell:
        further.append(f"volumes: {', '.join(facts.unwell)} (LHP-066)")
    silent = [name for name, there in facts.sockets.items() if there is None]
    if silent:
        further.append(f"nodes that do not answer: {', '.join(silent)}")
    lost = [name for name, there in facts.data.items() if there is False]
    if lost:
        further.append(f"CRITICAL: no data directory on {', '.join(lost)} (LHP-010)")
    return tuple(further)


_LOOK = """
if [ -S "$1" ]; then echo socket=yes; else echo socket=no; fi
if [ -d "$2" ]; then echo data=yes; else echo data=no; fi
"""


def capture(cluster: Cluster, nodes: Iterable[Node], settings: FlowSettings) -> ControlPlaneFacts:
    """Look, and change nothing (LHP-002). What does not answer is a fact, not an error."""
    sockets: dict[str, bool | None] = {}
    data: dict[str, bool | None] = {}
    for node in nodes:
        sockets[node.name] = data[node.name] = None
        try:
            seen = node.run(script("look", _LOOK, CSI_SOCKET, f"{settings.data_path}/replicas")).out.split()
        except NodeError:
            continue
        sockets[node.name], data[node.name] = "socket=yes" in seen, "data=yes" in seen
    try:
        return _capture_cluster(cluster, settings, sockets, data)
    except ClusterError:
        return ControlPlaneFacts(
            api_answers=False, namespace="", driver_registered=False, managers=(), sockets=sockets, data=data
        )


def _capture_cluster(
    cluster: Cluster, settings: FlowSettings, sockets: dict[str, bool | None], data: dict[str, bool | None]
) -> ControlPlaneFacts:
    name = settings.longhorn_namespace
    namespace = cluster.get(Ref("Namespace", name))
    managers = cluster.list("Pod", name, "app=longhorn-manager")
    deployers = cluster.list("Pod", name, "app=longhorn-driver-deployer")
    endpoints = cluster.get(Ref("Endpoints", "longhorn-conversion-webhook", name))
    running = tuple((name_of(pod), _runs(pod)) for pod in managers)
    phase = "" if namespace is None else str(deep(namespace, "status", "phase") or "Active")
    return ControlPlaneFacts(
        api_answers=True,
        namespace="Terminating" if namespace and deep(namespace, "metadata", "deletionTimestamp") else phase,
        driver_registered=cluster.get(Ref("CSIDriver", CSI_DRIVER)) is not None,
        managers=running,
        sockets=sockets,
        data=data,
        registered_nodes=tuple(name_of(item) for item in cluster.list("CSINode") if _registered(item)),
        stuck_deployer=any(deep(pod, "status", "phase") == "Pending" for pod in deployers),
        webhook_deadlock=bool(endpoints and any(ok for _, ok in running) and not _addresses(endpoints)),
        pending_finalizers=_held(cluster, name) if phase == "Terminating" else 0,
        parts_down=_parts_down(cluster.list("Pod", name)),
        unwell=_unwell(cluster, name),
    )


def _runs(pod: Document) -> bool:
    # A phase alone says Running of a pod that crashes in a loop (LHP-069).
    statuses = deep(pod, "status", "containerStatuses") or []
    looping = any(deep(item, "state", "waiting", "reason") == "CrashLoopBackOff" for item in statuses)
    return deep(pod, "status", "phase") == "Running" and not looping


_PARTS = {
    "longhorn-manager": "critical",
    "longhorn-driver-deployer": "critical",
    "longhorn-csi-plugin": "critical",
    "csi-attacher": "critical",
    "csi-provisioner": "critical",
    "csi-resizer": "high",
    "engine-image": "high",
    "csi-snapshotter": "medium",
    "longhorn-ui": "medium",
    "share-manager": "medium",
    "rwx-nfs": "medium",
}
"""How much it matters when a part is down (LHP-071)."""


def _parts_down(pods: Iterable[Document]) -> tuple[str, ...]:
    down = set()
    for pod in pods:
        labels = deep(pod, "metadata", "labels") or {}
        part = str(labels.get("app") or labels.get("longhorn.io/component") or "")
        conditions = deep(pod, "status", "conditions") or []
        ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
        if part in _PARTS and not ready and not finished(pod):
            down.add(part)
    return tuple(f"{part} ({matters})" for part, matters in _PARTS.items() if part in down)


def _unwell(cluster: Cluster, namespace: str) -> tuple[str, ...]:
    try:
        volumes = cluster.list("longhorn.Volume", namespace)
    except ClusterError as error:
        if error.missing:
            return ()
        raise
    states = {name_of(item): str(deep(item, "status", "robustness") or "") for item in volumes}
    return tuple(f"{name} {state}" for name, state in sorted(states.items()) if state in {"faulted", "degraded"})


def _registered(item: Document) -> bool:
    return any(driver.get("name") == CSI_DRIVER for driver in deep(item, "spec", "drivers") or [])


def _addresses(endpoints: Document) -> bool:
    return any(subset.get("addresses") for subset in endpoints.get("subsets") or [])


def _held(cluster: Cluster, namespace: str) -> int:
    held = 0
    for kind in (kind for kind in KINDS if kind.startswith("longhorn.")):
        try:
            objects = cluster.list(kind, namespace)
        except ClusterError as error:
            if error.missing:
                continue
            raise
        held += sum(1 for item in objects if deep(item, "metadata", "finalizers"))
    return held
