"""Climbs the ladder: one level, then look again; a dump before each; conditions instead of sleeps (LHP-001 .. LHP-054).

L1 to L5 run unattended. L6, the reinstall, is never climbed by itself: it needs the cluster's name typed and a verified
dump, and its mistakes cost data (LHP-005, INV-009); :mod:`.teardown` is its first half, a person does the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .diagnosis import Diagnosis, Level, State, capture, diagnose
from .facts import deep
from .interfaces import CSI_SOCKET, Clock, Cluster, ClusterError, Node, NodeError, Ref, name_of
from .inventory import Inventory, InventoryError, take_inventory
from .journal import Evidence
from .node_tools import script
from .volumes import FlowSettings

__all__ = ["MANIFEST", "Climb", "EscalationError", "escalate", "reinstall_steps"]

_SERVICES: Final = """
for unit in k3s k3s-agent; do
  if systemctl is-enabled --quiet "$unit"; then exec systemctl restart "$unit"; fi
done
echo "no k3s service" >&2; exit 1
"""
_TOUCH: Final = """[ -e "$1" ] && touch "$1" """
# Only a socket on which nobody listens (LHP-037). It is asked itself: a list of sockets shows those of one network
# only, and the listener is in a pod's.
_REMOVE_SOCKET: Final = """
[ -S "$1" ] || exit 0
asked='import socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(5)
    try:
        client.connect(sys.argv[1])
    except ConnectionRefusedError:
        sys.exit(7)'
status=0
python3 -c "$asked" "$1" || status=$?
if [ "$status" -ne 7 ]; then echo "somebody listens, or nobody can tell" >&2; exit 3; fi
rm -f "$1"
"""
MANIFEST: Final = "/var/lib/rancher/k3s/server/manifests/longhorn-install.yaml"
"""From this file of the control plane k3s installs the chart, again at each of its starts."""
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
_WAIT: Final[Mapping[Level, float]] = {Level.L1: 180, Level.L2: 60, Level.L3: 300, Level.L4: 180, Level.L5: 120}
_RESTART_SECONDS: Final = 300
_PAUSE: Final = 5.0


class EscalationError(Exception):
    """The climb stopped: something a person must decide."""


@dataclass(frozen=True)
class Climb:
    """How far it went."""

    before: Diagnosis
    after: Diagnosis
    climbed: tuple[Level, ...]
    next_level: Level | None
    """What would come next, and needs a person."""
    warnings: tuple[str, ...] = ()
    """Levels that were climbed without a dump, and why there was none."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
            "climbed": [level.name for level in self.climbed],
            "next": self.next_level.name if self.next_level else None,
            "warnings": list(self.warnings),
        }


@dataclass
class _Ladder:
    cluster: Cluster
    nodes: Sequence[Node]
    clock: Clock
    settings: FlowSettings
    evidence: Evidence

    def look(self) -> Diagnosis:
        return diagnose(capture(self.cluster, self.nodes, self.settings))

    def climb(self, level: Level, about: Sequence[str]) -> None:
        actions: Mapping[Level, Callable[[Sequence[str]], None]] = {
            Level.L1: lambda _about: self._restart_services(),
            Level.L2: lambda _about: self._touch(),
            Level.L3: lambda _about: self._roll("longhorn-manager"),
            Level.L4: self._sockets,
            Level.L5: lambda _about: self._deployers(),
        }
        actions[level](about)

    def _restart_services(self) -> None:
        # One after another: all managers at once would lock each other out of the webhook (LHP-036).
        for node in self.nodes:
            done = node.run(script("restart-k3s", _SERVICES), timeout=_RESTART_SECONDS)
            self.evidence.note("control plane", "L1", f"restart k3s on {node.name}", outcome=done.err or "done")

    def _touch(self) -> None:
        touched = [node.name for node in self.nodes if not node.run(script("touch", _TOUCH, MANIFEST)).status]
        self.evidence.note("control plane", "L2", "touch the manifest", outcome=", ".join(touched) or "on no node")

    def _roll(self, name: str) -> None:
        ref = Ref("DaemonSet", name, self.settings.longhorn_namespace)
        template = {"metadata": {"annotations": {_RESTARTED: str(int(self.clock.now()))}}}
        self.cluster.patch(ref, {"spec": {"template": template}})
        self.evidence.note("control plane", "roll out", f"restart {ref} one pod after another", outcome="asked")

    def _sockets(self, about: Sequence[str]) -> None:
        for node in self.nodes:
            if node.name in about:
                done = node.run(script("remove-socket", _REMOVE_SOCKET, CSI_SOCKET))
                self.evidence.note("control plane", "L4", f"stale socket on {node.name}", outcome=done.err or "done")
        self._roll("longhorn-csi-plugin")

    def _deployers(self) -> None:
        namespace = self.settings.longhorn_namespace
        for pod in self.cluster.list("Pod", namespace, "app=longhorn-driver-deployer"):
            ref = Ref("Pod", name_of(pod), namespace)
            self.cluster.delete(ref, uid=str(deep(pod, "metadata", "uid") or ""), grace_seconds=0)
            self.evidence.note("control plane", "L5", f"delete {ref}", outcome="done")

    def healthy_within(self, seconds: float) -> Diagnosis:
        deadline = self.clock.monotonic() + seconds
        while True:
            found = self.look()
            if found.healthy or self.clock.monotonic() >= deadline:
                return found
            self.clock.sleep(_PAUSE)


def escalate(
    cluster: Cluster,
    nodes: Sequence[Node],
    clock: Clock,
    settings: FlowSettings,
    evidence: Evidence,
    *,
    limit: Level,
    dump: Callable[[], str],
) -> Climb:
    """Climb from the diagnosis on, up to ``limit``, and stop at the first level that restores health.

    ``dump`` saves all objects and returns where; it is called before each level. These levels remove nothing, so they
    go on without a dump where there cannot be one, and say so (LHP-013, FM-28). A healthy control plane is not touched.
    Raises EscalationError when replica directories disappear (INV-014), and ClusterError or NodeError.
    """
    if limit is Level.L6:
        message = "the reinstall is not automatic: do its steps one by one, each looked at (LHP-005)"
        raise EscalationError(message)
    ladder = _Ladder(cluster, nodes, clock, settings, evidence)
    before = found = ladder.look()
    climbed: list[Level] = []
    warnings: list[str] = []
    order = list(Level)
    while not found.healthy:
        rest = [level for level in found.ladder if level not in climbed]
        allowed = [level for level in rest if order.index(level) <= order.index(limit)]
        if not allowed or found.state in {State.MISSING, State.TERMINATING, State.UNREACHABLE}:
            return Climb(before, found, tuple(climbed), rest[0] if rest else None, tuple(warnings))
        level = allowed[0]
        kept = _inventory(nodes, settings)
        warnings += _dump(dump, evidence, level)
        try:
            ladder.climb(level, found.nodes)
        except (ClusterError, NodeError) as error:
            evidence.note("control plane", level.name, level.value, outcome=f"failed: {error}", next_step="look again")
        climbed.append(level)
        found = ladder.healthy_within(_WAIT[level])
        _compare(kept, nodes, settings)
    return Climb(before, found, tuple(climbed), None, tuple(warnings))


def _dump(dump: Callable[[], str], evidence: Evidence, level: Level) -> list[str]:
    try:
        where = dump()
    except Exception as error:  # noqa: BLE001 - what a store raises is its own, and none of it stops these levels
        evidence.note("control plane", level.name, "dump", outcome=f"failed: {error}", next_step=level.value)
        return [f"no dump before {level.name}: {error}"]
    evidence.note("control plane", level.name, "dump", outcome=where, next_step=level.value)
    return []


def _inventory(nodes: Sequence[Node], settings: FlowSettings) -> Inventory:
    return take_inventory(nodes, settings.data_path)


def _compare(kept: Inventory, nodes: Sequence[Node], settings: FlowSettings) -> None:
    try:
        take_inventory(nodes, settings.data_path).compare_with(kept)
    except InventoryError as error:
        message = f"STOP: {error} (INV-014, FM-29)"
        raise EscalationError(message) from error


def reinstall_steps(settings: FlowSettings) -> tuple[str, ...]:
    """Say the reinstall in its safe order (LHP-040 .. LHP-053), for the runbook and for `recover diagnose`."""
    namespace = settings.longhorn_namespace
    return (
        "check that the restart of k3s (L1) was tried and is in a run's evidence",
        f"`recover teardown`: it wants an address of {settings.chart_host} and an answer of Docker on each node",
        f"it then dumps, and removes the managers of {namespace}, finalizers, namespace; lost data stops it",
        f"install the chart by its manifest only, which it keeps in {settings.work_directory} of the control plane",
        f"its defaultDataPath {settings.data_path} stays as before",
        f"compare longhorn-disk.cfg in {settings.data_path} of each node with what teardown's evidence holds (LHP-052)",
        "`recover restore` for the objects, `recover run` for the data",
    )
