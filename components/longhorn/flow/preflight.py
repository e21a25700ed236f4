"""What must hold before anything is touched; all that does not is reported together (LHR-010 .. LHR-019)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from .facts import deep
from .interfaces import CSI_DRIVER, Cluster, ClusterError, Document, Node, NodeError, Ref
from .marks import SOURCE, mark_of
from .node_tools import script
from .volumes import FlowSettings, VolumeInput

__all__ = ["check_cluster", "check_nodes", "check_space", "check_volumes", "running_managers"]

_TOOLS: Final = ("python3", "mkfs.ext4", "blkid", "blockdev", "e2fsck", "rsync", "mount", "mountpoint", "setsid")
_CHECK_TOOLS: Final = """
[ "$(id -u)" = 0 ] || echo root
for tool in "$@"; do command -v "$tool" >/dev/null 2>&1 || echo "$tool"; done
"""
_MANAGERS: Final = "app=longhorn-manager"
_SPARE: Final = 64 * 2**20


def check_cluster(cluster: Cluster, settings: FlowSettings) -> list[str]:
    """Longhorn must work: the flow recovers data into it and never repairs it (LHR-004, LHR-012, LHR-013, INV-016)."""
    problems = []
    running = running_managers(cluster, settings)
    if not running:
        found = len(cluster.list("Pod", settings.longhorn_namespace, _MANAGERS))
        problems.append(f"0 longhorn-manager pods are Running of {found}: recover the control plane first (FM-02)")
    elif settings.all_managers_ready:
        ready = {str(deep(pod, "spec", "nodeName")) for pod in running if _ready(pod)}
        lacking = [name for name in settings.nodes if name not in ready]
        if lacking:
            problems.append(
                f"no Ready longhorn-manager on {', '.join(lacking)}; all_managers_ready: false accepts that (LHR-013)"
            )
    if cluster.get(Ref("CSIDriver", CSI_DRIVER)) is None:
        problems.append(
            f"CSIDriver {CSI_DRIVER} is not registered: recover the control plane first (`recover diagnose`)"
        )
    setting = cluster.get(Ref("longhorn.Setting", "orphan-resource-auto-deletion", settings.longhorn_namespace))
    if "replica-data" in str((setting or {}).get("value", "")):
        problems.append(
            "Longhorn's setting orphan-resource-auto-deletion contains replica-data: it would delete exactly the "
            "directories that hold the data; empty it (INV-016)"
        )
    return problems


def running_managers(cluster: Cluster, settings: FlowSettings) -> list[Document]:
    """Return Longhorn's managers that run. Raises ClusterError."""
    managers = cluster.list("Pod", settings.longhorn_namespace, _MANAGERS)
    return [pod for pod in managers if deep(pod, "status", "phase") == "Running"]


def check_volumes(cluster: Cluster, volumes: Iterable[VolumeInput], settings: FlowSettings) -> list[str]:
    """Volumes that exist and are not this flow's are another case (LHR-002)."""
    problems = []
    for volume in volumes:
        try:
            present = cluster.get(Ref("longhorn.Volume", volume.pv_name, settings.longhorn_namespace))
        except ClusterError as error:
            problems.append(f"{volume.pv_name}: Longhorn's API does not answer: {error} (LHR-013)")
            continue
        if present is not None and not mark_of(present, SOURCE):
            problems.append(
                f"{volume.pv_name}: the Longhorn Volume exists: restore its PersistentVolume and claim, or recover the "
                f"control plane, instead (LHR-002)"
            )
    return problems


def check_nodes(nodes: Mapping[str, Node], settings: FlowSettings) -> tuple[list[str], list[str]]:
    """Every node must answer, as root, and have the tools. Returns problems, and the nodes that do not answer."""
    problems: list[str] = []
    silent: list[str] = []
    for name in settings.nodes:
        if name not in nodes:
            problems.append(f"{name}: no way to this node is configured")
            continue
        try:
            done = nodes[name].run(script("tools", _CHECK_TOOLS, *_TOOLS))
        except NodeError as error:
            silent.append(name)
            if not settings.allow_missing_nodes:
                problems.append(f"{error}; allow_missing_nodes goes on without it (LHR-037)")
            continue
        if done.status:
            problems.append(f"{name}: commands cannot be run as root there: {done.err.strip()[-300:]} (LHR-016)")
            continue
        lacking = done.out.split()
        if "root" in lacking:
            problems.append(f"{name}: commands do not run as root there (LHR-016)")
        tools = [tool for tool in lacking if tool != "root"]
        if tools:
            problems.append(f"{name}: {', '.join(tools)} not installed (LHR-016)")
    if len(silent) == len(settings.nodes) and settings.allow_missing_nodes:
        problems.append("no node answers")
    return problems, silent


def check_space(needs: Iterable[tuple[int, Mapping[str, Any]]], merged: Mapping[str, Any]) -> list[str]:
    """Room for what is still to be made: bytes with the place of each (LHR-017, DEF-10); ``merged``: of the image."""
    problems = []
    if merged["memory"]:
        problems.append(f"merged_base is on {merged['kind']}, in memory: the image would go with a restart (LHR-018)")
    wanted: dict[int, tuple[int, int]] = {}
    for amount, place in needs:
        needed = wanted.get(place["device"], (0, 0))[0] + amount
        wanted[place["device"]] = (needed, place["free"])
    problems += [
        f"{needed + _SPARE} bytes are needed and {free} are free (LHR-017)"
        for needed, free in wanted.values()
        if needed and needed + _SPARE > free
    ]
    return problems


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions: Sequence[Mapping[str, Any]] = deep(pod, "status", "conditions") or []
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
