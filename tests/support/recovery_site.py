"""A cluster after the incident: volumes gone, claims Terminating, old replica directories on two of three nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from components.longhorn.flow.interfaces import Document, Ref
from components.longhorn.flow.recover import Recovery
from components.longhorn.flow.report import RunReport
from components.longhorn.flow.volumes import FlowSettings, VolumeInput
from components.longhorn.flow.world import Consent, World
from tests.support.fake_longhorn import NAMESPACE, FakeLonghorn, Manners, managers
from tests.support.memory_cluster import Controllers, MemoryCluster
from tests.support.recovery_node import Device, FakeClock, FolderNode, Killer

NODES = ("node1", "node2", "node3")
SIZE = 4 << 20
PV = "pvc-00000000-0000-4000-8000-000000000001"
OLD = f"{PV}-0a1b2c3d"
FILES = {"database.sqlite": b"one row\n" * 3000, "folder/notes.txt": b"more data\n"}


@cache
def filled_image() -> bytes:
    """A file system of SIZE bytes with FILES in it, made once."""
    with tempfile.TemporaryDirectory() as folder:
        tree, target = Path(folder) / "tree", Path(folder) / "volume.img"
        for name, content in FILES.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        command = [_mkfs(), "-q", "-F", "-d", str(tree), str(target), f"{SIZE // 1024}k"]
        subprocess.run(command, check=True, capture_output=True)
        return target.read_bytes()


def _mkfs() -> str:
    found = shutil.which("mkfs.ext4") or shutil.which("mkfs.ext4", path="/usr/sbin:/sbin")
    assert found, "mkfs.ext4 (e2fsprogs) is not installed"
    return found


def write_replica(directory: Path, content: bytes, **meta: Any) -> None:
    """Write a replica of two layers: the first half of the volume in the snapshot, the rest and a piece in the head."""
    directory.mkdir(parents=True)
    snapshot, head = "volume-snap-first.img", "volume-head-001.img"
    volume = {"Size": len(content), "Head": head, "Dirty": True, "Rebuilding": False, "Error": "", "Parent": snapshot}
    volume |= {"SectorSize": 512, "BackingFilePath": "", **meta}
    (directory / "volume.meta").write_text(json.dumps(volume))
    half = len(content) // 2
    for name, parent, ranges in (
        (snapshot, "", [(0, half)]),
        (head, snapshot, [(half, len(content)), (0, 4096)]),
    ):
        layer = {"Name": name, "Parent": parent, "Removed": False, "UserCreated": False, "Created": "", "Labels": None}
        (directory / f"{name}.meta").write_text(json.dumps(layer))
        with (directory / name).open("wb") as file:
            file.truncate(len(content))
            for start, end in ranges:
                for offset in range(start, end, 4096):
                    block = content[offset : offset + 4096]
                    if block.strip(b"\0"):
                        file.seek(offset)
                        file.write(block)


@dataclass
class Site:
    """Everything of one test."""

    root: Path
    volumes: tuple[VolumeInput, ...]
    settings: FlowSettings
    cluster: MemoryCluster
    longhorn: FakeLonghorn
    nodes: dict[str, FolderNode]
    clock: FakeClock
    devices: dict[str, Device] = field(default_factory=dict)

    def world(self, killer: Killer | None = None, *, clock: FakeClock | None = None) -> World:
        watch: Callable[[Any], Any] = killer.around if killer else lambda item: item
        nodes = {name: watch(node) for name, node in self.nodes.items()}
        return World(watch(self.cluster), nodes, clock or self.clock, self.root / "state", self.settings)

    def recovery(self, killer: Killer | None = None, *, named: set[str] | None = None, **options: Any) -> Recovery:
        names = {volume.pv_name for volume in self.volumes} if named is None else named
        consent = Consent(yes=True, named=frozenset(names))
        return Recovery(self.world(killer), self.volumes, consent, **options)

    def run(self, killer: Killer | None = None) -> RunReport:
        return self.recovery(killer).run()

    def restored(self, pv_name: str = PV) -> dict[str, bytes]:
        """The files that are in the device now."""
        files = self.devices[pv_name].files
        assert files is not None
        return {str(path.relative_to(files)): path.read_bytes() for path in sorted(files.rglob("*")) if path.is_file()}

    @property
    def replicas(self) -> Path:
        return Path(self.settings.data_path) / "replicas"

    def put(self, ref: Ref, body: Document) -> None:
        self.cluster.add(ref, body)


def volume(**changes: Any) -> VolumeInput:
    values: dict[str, Any] = {
        "pv_name": PV,
        "pvc_name": "data-web-0",
        "namespace": "shop",
        "size_bytes": str(SIZE),
        "size_human": "4Mi",
        "access_mode": "ReadWriteOnce",
        "workload_kind": "StatefulSet",
        "workload_name": "web",
    }
    return VolumeInput.model_validate(values | changes)


def make_site(
    root: Path, *volumes: VolumeInput, manners: Manners | None = None, replicas: int = 2, **settings: Any
) -> Site:
    """Build the site: one workload ``web`` that mounts the claims of all volumes, still wanting to run."""
    wanted = volumes or (volume(),)
    base = root / "disk"
    configured = FlowSettings(
        nodes=NODES,
        data_path=str(base / "data"),
        backup_base=str(base / "backups"),
        merged_base=str(base / "merged"),
        work_directory=str(base / "work"),
        **settings,
    )
    clock = FakeClock()
    cluster = MemoryCluster(clock.now)
    longhorn = FakeLonghorn(Controllers(cluster), NODES, manners or Manners())
    clock.tick = longhorn.step
    site = Site(root, wanted, configured, cluster, longhorn, {}, clock)

    def device(node: str, name: str) -> Device | None:
        # What a machine has does not depend on the answers that the flow gets.
        present = site.longhorn.cluster.get(Ref("longhorn.Volume", name, NAMESPACE)) or {}
        status = present.get("status", {})
        if status.get("state") != "attached" or status.get("currentNodeID") != node:
            return None
        uid = present["metadata"]["uid"]
        return site.devices.setdefault(name, Device(int(present["spec"]["size"]))) if uid else None

    for node in NODES:
        site.nodes[node] = FolderNode(node, root, device, holds_replicas=node == "node1")
    for ref, body in managers(NODES):
        cluster.add(ref, body)
    claims = [item.pvc_name for item in wanted]
    cluster.add(Ref("StatefulSet", "web", "shop"), {"spec": {"replicas": replicas, "claims": claims}})
    root.mkdir(parents=True, exist_ok=True)
    for item in wanted:
        write_replica(Path(configured.data_path) / "replicas" / f"{item.pv_name}-0a1b2c3d", filled_image())
        cluster.add(
            Ref("PersistentVolumeClaim", item.pvc_name, "shop"),
            {
                "metadata": {
                    "finalizers": ["kubernetes.io/pvc-protection"],
                    "deletionTimestamp": "2026-01-01T00:00:00+00:00",
                },
                "spec": {"volumeName": item.pv_name},
                "status": {"phase": "Bound"},
            },
        )
    return site
