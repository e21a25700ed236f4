"""Longhorn's controllers at work beside the engine, and this machine as the node with the replica directories."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.longhorn.flow.interfaces import Cluster, ClusterError
from tests.support.fake_longhorn import FakeLonghorn, Manners
from tests.support.recovery_site import SIZE, filled_image, write_replica
from tests.support.ssh_server import SshServer

_PAUSE = 0.1


@contextmanager
def reconciling(cluster: Cluster) -> Iterator[FakeLonghorn]:
    """Let Longhorn work until the end; workloads and claims have the cluster's own controllers."""
    longhorn = FakeLonghorn(cluster, ("node1",), Manners(workloads=False))
    over = threading.Event()

    def work() -> None:
        while not over.wait(_PAUSE):
            # An object that goes while it is looked at is looked at again.
            with suppress(ClusterError):
                longhorn.step()

    thread = threading.Thread(target=work, name="longhorn")
    thread.start()
    try:
        yield longhorn
    finally:
        over.set()
        thread.join()


@dataclass
class LoopNode:
    """A folder of this machine with one old replica, and a loop device in the place of Longhorn's."""

    root: Path
    pv: str
    ssh: SshServer
    backing: Path = field(init=False)

    def __post_init__(self) -> None:
        self.backing = self.root / "device.img"

    @property
    def site(self) -> dict[str, Any]:
        """The node as a person describes it."""
        folders = ("data", "backups", "merged", "work", "mounts", "devices")
        data, backups, merged, work, mounts, devices = (str(self.root / name) for name in folders)
        settings = {
            "nodes": ["node1"],
            "data_path": data,
            "backup_base": backups,
            "merged_base": merged,
            "work_directory": work,
            "mount_base": mounts,
            "device_directory": devices,
        }
        host = {
            "address": "127.0.0.1",
            "port": self.ssh.port,
            "user": "root",
            "host_key": self.ssh.host_key,
            "ssh_config": None,
        }
        return {"settings": settings, "hosts": {"node1": host}}

    @contextmanager
    def devices(self) -> Iterator[str]:
        """Write the replica and attach the device; gives the loop device."""
        write_replica(self.root / "data" / "replicas" / f"{self.pv}-0a1b2c3d", filled_image())
        with self.backing.open("wb") as file:
            file.truncate(SIZE)
        loop = ran(["losetup", "--find", "--show", str(self.backing)])
        (self.root / "devices").mkdir()
        (self.root / "devices" / self.pv).symlink_to(loop)
        try:
            yield loop
        finally:
            ran(["losetup", "--detach", loop])

    def file_system(self) -> str:
        """The id of the file system on the device; empty while it has none."""
        done = subprocess.run(
            ["blkid", "-p", "-s", "UUID", "-o", "value", str(self.backing)], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()


def ran(command: Sequence[str]) -> str:
    """Run a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
