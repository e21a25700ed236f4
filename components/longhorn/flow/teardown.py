"""L6, the first half: a Longhorn that cannot be healed is removed, and the data stays (LHP-040 .. LHP-051).

The managers go first and are waited for: a manager that runs while Replicas go deletes their directories (GLK-018).
Nothing here deletes a Replica by itself; the objects go with their namespace, when nobody is left to act on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from .engine import PhaseRunner
from .escalate import MANIFEST, EscalationError
from .facts import deep, uid
from .interfaces import KINDS, Clock, Cluster, ClusterError, Document, Node, Ref, name_of
from .inventory import InventoryError, take_inventory
from .journal import Evidence, Journal
from .node_tools import script
from .steps import Act, Delete, Done, Finalize, Patch, Step, Stop, Wait
from .volumes import FlowSettings

__all__ = ["TeardownFacts", "capture_teardown", "decide_teardown", "teardown", "unfit"]

_WAIT_SECONDS: Final = 300.0
_CHART: Final = Ref("HelmChart", "longhorn-install", "kube-system")
_WEBHOOKS: Final = (
    Ref("ValidatingWebhookConfiguration", "longhorn-webhook-validator"),
    Ref("MutatingWebhookConfiguration", "longhorn-webhook-mutator"),
)
"""The managers serve them: without one, the API server refuses every change of Longhorn's objects."""


@dataclass(frozen=True)
class TeardownFacts:
    """What is still there."""

    namespace: Document | None
    manager_set: Document | None
    managers: tuple[str, ...]
    chart: Document | None
    held: tuple[Ref, ...]
    """Longhorn's objects, of every kind, that have finalizers."""
    deleting_confirmed: bool
    """Longhorn's setting that lets an uninstall delete volumes (GLK-021)."""
    webhooks: tuple[tuple[Ref, Document], ...] = ()


def capture_teardown(cluster: Cluster, settings: FlowSettings) -> TeardownFacts:
    """Look. Raises ClusterError."""
    name = settings.longhorn_namespace
    held = []
    for kind in KINDS:
        if kind.startswith("longhorn."):
            held += [Ref(kind, name_of(item), name) for item in _served(cluster, kind, name) if _has_finalizers(item)]
    flag = next((item for item in _served(cluster, "longhorn.Setting", name) if _is_flag(item)), {})
    try:
        chart = cluster.get(_CHART)
    except ClusterError as error:
        if not error.missing:
            raise
        chart = None
    return TeardownFacts(
        namespace=cluster.get(Ref("Namespace", name)),
        manager_set=cluster.get(Ref("DaemonSet", "longhorn-manager", name)),
        managers=tuple(name_of(pod) for pod in cluster.list("Pod", name, "app=longhorn-manager")),
        chart=chart,
        held=tuple(held),
        deleting_confirmed=flag.get("value") == "true",
        webhooks=tuple((ref, found) for ref in _WEBHOOKS if (found := cluster.get(ref)) is not None),
    )


def decide_teardown(facts: TeardownFacts, settings: FlowSettings) -> Step:
    """Decide the next step; the order is the requirement."""
    if facts.namespace is None:
        return Done()
    if facts.deleting_confirmed:
        return Stop(
            "deleting-confirmed",
            "Longhorn's setting deleting-confirmation-flag is true: an uninstall would delete the volumes; set it to "
            "false first",
        )
    return _stop_managers(facts, settings) or _remove(facts, settings)


def _stop_managers(facts: TeardownFacts, settings: FlowSettings) -> Step | None:
    if facts.chart is not None and not deep(facts.chart, "metadata", "deletionTimestamp"):
        return Act(
            f"delete {_CHART}, which would bring everything back", Delete(_CHART, uid(facts.chart)), destructive=True
        )
    if facts.manager_set is not None and not deep(facts.manager_set, "metadata", "deletionTimestamp"):
        ref = Ref("DaemonSet", "longhorn-manager", settings.longhorn_namespace)
        return Act(f"delete {ref}, before anything else", Delete(ref, uid(facts.manager_set)), destructive=True)
    if facts.managers:
        return Wait("no manager runs", _WAIT_SECONDS, facts.managers)
    return None


def _remove(facts: TeardownFacts, settings: FlowSettings) -> Step:
    for ref, present in facts.webhooks:
        return Act(f"delete {ref}, which no manager answers any more", Delete(ref, uid(present)), destructive=True)
    for ref in facts.held:
        # By merge patch: a JSON patch fails where the field is absent (DEF-22).
        body = {"metadata": {"finalizers": None}}
        return Act(f"clear the finalizers of {ref}", Patch(ref, body), destructive=True)
    namespace = facts.namespace or {}
    ref = Ref("Namespace", settings.longhorn_namespace)
    if not deep(namespace, "metadata", "deletionTimestamp"):
        return Act(f"delete {ref}", Delete(ref, uid(namespace)), destructive=True)
    conditions = deep(namespace, "status", "conditions") or []
    stuck = [item for item in conditions if item.get("status") == "True" and item.get("type") in _STUCK]
    if stuck and deep(namespace, "spec", "finalizers"):
        # Only this subresource can do it: a patch of the field has no effect (DEF-23).
        return Act(f"finalize {ref}, which nothing holds any more", Finalize(ref), destructive=True)
    return Wait(f"{ref} is gone", _WAIT_SECONDS, conditions)


_STUCK: Final = frozenset({"NamespaceDeletionDiscoveryFailure", "NamespaceDeletionContentFailure"})


def teardown(
    cluster: Cluster,
    nodes: Sequence[Node],
    clock: Clock,
    settings: FlowSettings,
    evidence: Evidence,
    *,
    confirmed: bool,
    dump: Callable[[], str],
    journal: Journal,
) -> None:
    """Remove Longhorn and keep its data. ``confirmed``: a person typed the cluster's name; ``dump`` saves all objects.

    ``journal`` keeps where: half-way there is less to save, and the dump from before the first deletion is the one.
    Raises EscalationError without either, and where a node could not run or fetch a new Longhorn (LHP-014); StopError
    when a replica directory disappears (INV-014); ClusterError, NodeError.
    """
    if not confirmed:
        message = "a teardown needs the cluster's name typed (LHP-005)"
        raise EscalationError(message)
    before = take_inventory(nodes, settings.data_path)
    silent = sorted({node.name for node in nodes} - before.nodes)
    if silent:
        message = f"{', '.join(silent)} do not answer: without their inventory nothing is removed (LHP-011)"
        raise EscalationError(message)
    if not before.sizes and not before.disks:
        message = f"no node has replica directories or longhorn-disk.cfg in {settings.data_path}: is data_path right?"
        raise EscalationError(message)
    lacking = unfit(nodes, settings)
    if lacking:
        message = f"Longhorn could not be installed again, so nothing is removed: {'; '.join(lacking)}"
        raise EscalationError(message)
    evidence.note("control plane", "L6", "dump", outcome=_saved(cluster, settings, dump, journal))
    evidence.note("control plane", "L6", "the disks' identities", outcome=str(before.disks))

    def decide() -> Step:
        try:
            take_inventory(nodes, settings.data_path).compare_with(before)
        except InventoryError as error:
            return Stop("inventory", f"STOP: {error} (INV-014, FM-29)")
        return decide_teardown(capture_teardown(cluster, settings), settings)

    if isinstance(decide_teardown(capture_teardown(cluster, settings), settings), Act | Wait):
        _put_manifest_aside(nodes, settings, evidence)
    PhaseRunner(cluster, None, clock, evidence, "control plane", consented=True).run("L6", decide)


def _saved(cluster: Cluster, settings: FlowSettings, dump: Callable[[], str], journal: Journal) -> str:
    """Dump all objects, or name the dump that an earlier run of this removal took (LHP-051, INV-007)."""
    namespace = cluster.get(Ref("Namespace", settings.longhorn_namespace))
    if namespace is None:
        return "none: nothing is left to be removed"
    about = uid(namespace)
    try:
        where = dump()
    except Exception as error:  # what a store raises is its own; without a dump nothing is touched
        before = journal.result("dump") or {}
        if before.get("namespace") != about:
            message = f"no dump, so nothing is touched: {error}"
            raise EscalationError(message) from error
        return f"{before['where']}, which an earlier run took; now: {error}"
    journal.complete("dump", {"namespace": about, "where": where})
    return where


_ASIDE: Final = """
set -eu
[ -e "$1" ] || exit 0
umask 077
mkdir -p "$(dirname "$2")"
cp -p "$1" "$2"
sync "$2"
rm -f "$1"
echo moved
"""


def _put_manifest_aside(nodes: Sequence[Node], settings: FlowSettings, evidence: Evidence) -> None:
    """Take away what k3s would install Longhorn from while it is being removed; its values are kept (LHP-041)."""
    kept = f"{settings.work_directory}/{PurePosixPath(MANIFEST).name}"
    for node in nodes:
        done = node.run(script("manifest", _ASIDE, MANIFEST, kept))
        if done.status:
            message = f"{node.name}: {MANIFEST} cannot be put aside, so nothing is removed: {done.err.strip()}"
            raise EscalationError(message)
        if done.out.strip():
            evidence.note("control plane", "L6", f"put {MANIFEST} aside", outcome=f"{node.name}:{kept}")


_FIT: Final = """
getent ahosts "$1" >/dev/null || echo "$1 has no address there (FM-26)"
is_object='import json, sys; sys.exit(not isinstance(json.load(open(sys.argv[1])), dict))'
if [ -e "$2" ] && ! python3 -c "$is_object" "$2" 2>/dev/null; then echo "$2 is no JSON object (FM-27)"; fi
if systemctl is-enabled --quiet docker 2>/dev/null && ! docker info >/dev/null 2>&1; then
  echo "its Docker does not answer (FM-27)"
fi
"""
_DOCKER: Final = "/etc/docker/daemon.json"


def unfit(nodes: Sequence[Node], settings: FlowSettings) -> list[str]:
    """Say why a new Longhorn would not come up: what blocked the reinstall after the described incident (LHP-014)."""
    asked = [(node.name, node.run(script("fit", _FIT, settings.chart_host, _DOCKER)).out) for node in nodes]
    return [f"{name}: {line}" for name, out in asked for line in out.splitlines()]


def _served(cluster: Cluster, kind: str, namespace: str) -> list[Document]:
    try:
        return cluster.list(kind, namespace)
    except ClusterError as error:
        if error.missing:
            return []
        raise


def _has_finalizers(item: Document) -> bool:
    return bool(deep(item, "metadata", "finalizers"))


def _is_flag(item: Document) -> bool:
    return name_of(item) == "deleting-confirmation-flag"
